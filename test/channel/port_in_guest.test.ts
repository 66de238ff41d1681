import assert from 'node:assert/strict';
import { afterAll, beforeAll, describe, it } from 'vitest';
import type { Channel, Listener } from '../../src/channel/channel.js';
import { listenChannel } from '../../src/channel/index.js';
import type { VmProcess } from '../../host/vm/index.js';
import { vamos } from '../../src/protocol/generated/messages.js';
import { BOOT_HOOK_TIMEOUT_MS, type TestGuest, bootGuest } from '../vm/guest.js';

const { HELLO, WELCOME, REPLIES } = vamos.FrameKind;

/** Takes commands on its standard input, one a line, and answers each with a line. */
const GUEST_PROGRAM = `
  import readline from 'node:readline';
  import { connectChannel } from '/opt/vamos/dist/src/channel/index.js';
  const port = 'virtio-serial:' + process.argv[1];
  let channel;
  let wake;
  const answer = () => new Promise((resolve) => { wake = resolve; });
  const say = (value) => process.stdout.write(JSON.stringify(value) + '\\n');
  const commands = {
    async open(address = port) {
      try {
        const opened = await connectChannel(address);
        if (address !== port || channel) opened.destroy();
        else channel = opened;
        return 'open';
      } catch (error) {
        return error.code;
      }
    },
    async greet() {
      channel.setHandlers({ onFrame: () => wake(), onClose: (error) => { channel = undefined; wake(error?.code); } });
      channel.send(${String(HELLO)}, new Uint8Array(16));
      await answer();
      return 'welcome';
    },
    async frames(size, count) {
      const body = new Uint8Array(Number(size));
      for (let i = 0; i < Number(count); i++) {
        channel.send(${String(vamos.FrameKind.REQUESTS)}, body);
        await answer();
      }
      return channel.counters.writeCalls;
    },
    async closed() {
      return channel ? await answer() : 'CHANNEL_CLOSED';
    },
  };
  say('ready');
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, ...values] = line.split(' ');
    say(await commands[command](...values));
  }
  process.exit();`;

/** The guest's program as a function of its commands. */
class GuestProgram {
  readonly process: VmProcess;
  #text = '';
  #waiting: ((line: string) => void)[] = [];

  constructor(guest: TestGuest) {
    this.process = guest.vm.spawn(['node', '--input-type=module', '-e', GUEST_PROGRAM, guest.portName]);
    this.process.stdout.on('data', (chunk: Buffer) => {
      const lines = (this.#text + chunk.toString()).split('\n');
      this.#text = lines.pop() ?? '';
      for (const line of lines) this.#waiting.shift()?.(line);
    });
  }

  answer(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting.push((line) => {
        resolve(JSON.parse(line));
      });
      this.process.exited.then(({ code }) => {
        reject(new Error(`the program ended with ${String(code)}`));
      }, reject);
    });
  }

  run(command: string): Promise<unknown> {
    this.process.stdin.write(`${command}\n`);
    return this.answer();
  }
}

describe('a virtio-serial port in a guest', () => {
  let guest: TestGuest;
  let program: GuestProgram;
  let listener: Listener;
  let host: Channel | undefined;

  beforeAll(async () => {
    guest = await bootGuest();
    program = new GuestProgram(guest);
    assert.equal(await program.answer(), 'ready');
  }, BOOT_HOOK_TIMEOUT_MS);

  afterAll(async () => {
    host?.destroy();
    await listener?.close();
    await guest?.[Symbol.asyncDispose]();
  });

  it('is CHANNEL_ABSENT where there is none, and while no host end is connected', async () => {
    assert.equal(await program.run('open virtio-serial:no-such-port'), 'CHANNEL_ABSENT');
    assert.equal(await program.run('open'), 'CHANNEL_ABSENT');
  });

  it('opens once a host end is connected, and is CHANNEL_BUSY to a second opener', async () => {
    listener = await listenChannel(`virtio-serial:${guest.socketPath}`, (channel) => {
      host = channel;
      channel.setHandlers({
        onFrame(kind) {
          channel.send(kind === Number(HELLO) ? WELCOME : REPLIES, new Uint8Array(16));
        },
        onClose: () => undefined,
      });
    });
    let result;
    do result = await program.run('open');
    while (result === 'CHANNEL_ABSENT');
    assert.equal(result, 'open');
    assert.equal(await program.run('greet'), 'welcome');
    assert.equal(await program.run('open'), 'CHANNEL_BUSY');
  });

  for (const [size, count] of [
    [100, 100],
    [32_000, 50],
    [33_000, 50],
    [1 << 20, 10],
  ] as const) {
    it(`sends a frame of ${String(size)} bytes with one kick`, async () => {
      const { counters } = guest.vm;
      await counters.start();
      await program.run(`frames ${String(size)} ${String(count)}`);
      const { kicks } = (await counters.stop()).byDevice.channel;
      assert.ok(kicks >= count && kicks <= count * 1.1, `${String(kicks)} kicks for ${String(count)} frames`);
    });
  }

  it('tells the guest that the host end has gone', async () => {
    const closed = program.run('closed');
    await listener.close();
    host?.destroy();
    assert.equal(await closed, 'CHANNEL_CLOSED');
    assert.equal(await program.run('open'), 'CHANNEL_ABSENT');
  });
});
