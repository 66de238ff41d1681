import { setTimeout as delay } from 'node:timers/promises';
import type { Choices } from '../../../bench/order_entry/random.js';
import type { FaultyRelay } from '../../channel/faulty_relay.js';
import type { Part, Place, ProcessPart } from './place.js';

/**
 * Does something bad to the place, and mends it. `ended` is called when all that is not VAMOS's own to mend is mended: a process
 * that others have to start is being started, a frozen one goes on, bytes pass again.
 */
type Run = (place: Place, choices: Choices, ended: () => void) => Promise<void>;

interface Fault {
  /** The parts that the place must have. */
  parts: readonly Part[];
  run: Run;
}

/** How long a process is frozen: mostly short, sometimes longer than pings and requests wait. */
const freezeMs = (choices: Choices): number =>
  choices.isOneIn(8) ? choices.between(2000, 4000) : choices.between(20, 1000);

function freeze(part: ProcessPart): Fault {
  return {
    parts: [part],
    run: async (place, choices, ended) => {
      const pid = await place.pid(part);
      process.kill(pid, 'SIGSTOP');
      try {
        await delay(freezeMs(choices));
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      ended();
    },
  };
}

/** Kills these together. Those that only the test can start are started again, simultaneously. */
function kill(...parts: ProcessPart[]): Fault {
  return {
    parts,
    run: async (place, choices, ended) => {
      // The supervisor knows the worker's process, so it is asked before it is killed.
      const worker = parts.includes('worker') ? await place.pid('worker') : undefined;
      const others = parts.filter((part) => part !== 'worker');
      const killed = others.map((part) => place.kill(part));
      if (worker !== undefined) process.kill(worker, 'SIGKILL');
      await Promise.all(killed);
      if (choices.isOneIn(3)) await delay(choices.between(0, 1000));
      ended();
      await Promise.all(others.map((part) => place.start(part)));
      await place.pid('worker');
    },
  };
}

/** Does something to the channels, for a while. */
function channel(run: (relay: FaultyRelay, choices: Choices) => Promise<void>): Fault {
  return {
    parts: ['channel'],
    run: async (place, choices, ended) => {
      const isAll = choices.isOneIn(4);
      const relays = isAll ? place.relays : [place.relays[choices.isOneIn(3) ? place.relays.length - 1 : 0]!];
      try {
        await Promise.all(relays.map((relay) => run(relay, choices)));
        await delay(freezeMs(choices));
      } finally {
        for (const relay of relays) relay.mend();
      }
      ended();
    },
  };
}

export const FAULTS = {
  'kill-worker': kill('worker'),
  'kill-supervisor': kill('supervisor'),
  'kill-server': kill('server'),
  'kill-host': kill('supervisor', 'worker'),
  'kill-all': kill('server', 'supervisor', 'worker'),
  'kill-server-and-worker': kill('server', 'worker'),
  'kill-machine': {
    parts: ['machine'],
    run: async (place, _, ended) => {
      await place.kill('machine');
      await place.start('machine');
      ended();
    },
  },
  'freeze-machine': freeze('machine'),
  'kill-worker-again': {
    parts: ['worker'],
    run: async (place, choices, ended) => {
      for (let times = choices.between(2, 3); times > 0; times--) {
        await place.kill('worker');
        // Meanwhile the next worker opens the root, or the connectors ask it what became of their commits.
        await delay(choices.between(0, 150));
      }
      ended();
      await place.pid('worker');
    },
  },
  'kill-server-again': {
    parts: ['server'],
    run: async (place, choices, ended) => {
      await place.kill('server');
      const starting = place.start('server').catch(() => undefined);
      await delay(choices.between(0, 800));
      await place.kill('server');
      await starting;
      ended();
      await place.start('server');
    },
  },
  'freeze-worker': freeze('worker'),
  'freeze-supervisor': freeze('supervisor'),
  'freeze-server': freeze('server'),
  'freeze-and-kill-worker': {
    parts: ['worker', 'server'],
    run: async (place, choices, ended) => {
      const worker = await place.pid('worker');
      process.kill(worker, 'SIGSTOP');
      await delay(freezeMs(choices));
      // A server that starts finds a host that does not answer.
      const killsServer = choices.isOneIn(2);
      if (killsServer) await place.kill('server');
      const starting = killsServer ? place.start('server') : undefined;
      if (killsServer) await delay(choices.between(0, 1000));
      process.kill(worker, 'SIGKILL');
      ended();
      await starting;
      await place.pid('worker');
    },
  },
  'cut-channel': channel((relay) => {
    relay.cut();
    return Promise.resolve();
  }),
  'cut-frame': channel(async (relay, choices) => {
    const bytes = choices.between(1, choices.isOneIn(2) ? 60 : 3000);
    const cut = relay.cutAfter(choices.isOneIn(2) ? 'toHost' : 'toGuest', bytes);
    await Promise.race([cut, delay(2000)]);
  }),
  'abandon-channel': channel((relay) => {
    relay.abandon();
    return Promise.resolve();
  }),
  'stall-channel': channel((relay) => {
    relay.stall();
    return Promise.resolve();
  }),
  'lose-and-cut': channel(async (relay, choices) => {
    relay.lose();
    await delay(choices.between(1, 300));
    relay.cut();
  }),
  'lose-bytes': channel((relay) => {
    relay.lose();
    return Promise.resolve();
  }),
  'stall-and-kill-server': {
    parts: ['channel', 'server'],
    run: async (place, choices, ended) => {
      // What the killed server sent reaches the host only then.
      for (const relay of place.relays) relay.stall();
      await delay(choices.between(5, 200));
      await place.kill('server');
      for (const relay of place.relays) relay.mend();
      ended();
      await place.start('server');
    },
  },
  'drop-port': {
    parts: ['port'],
    run: async (place, choices, ended) => {
      await place.dropPort();
      if (choices.isOneIn(2)) await place.kill('worker');
      ended();
      await place.pid('worker');
    },
  },
} satisfies Record<string, Fault>;

export type FaultName = keyof typeof FAULTS;
export const FAULT_NAMES = Object.keys(FAULTS) as FaultName[];

export function faultsOf(place: Place, wanted: readonly FaultName[]): FaultName[] {
  return wanted.filter((name) => FAULTS[name].parts.every((part) => place.parts.has(part)));
}
