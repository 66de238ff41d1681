import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'vitest';
import { packageRoot } from '../../src/native.js';
import { makeFolder, removeFolder } from './transports.js';

/** Returns the beginning of the programs; `file` is a place for a socket. */
function prelude(folder: string): string {
  return `
    const { Worker } = require('node:worker_threads');
    const native = require(${JSON.stringify(path.join(packageRoot, 'build/native/vamos_channel.node'))});
    const file = ${JSON.stringify(path.join(folder, 'socket'))};
    const ignore = () => undefined;
    const open = (descriptor, onFrames = ignore, onEnd = ignore) =>
      new native.NativeChannel(descriptor, 1 << 20, 0, onFrames, ignore, onEnd);
    const listen = (onConnection) =>
      new native.NativeListener(native.listenUnix(file), 0xffffffff, onConnection);`;
}

/** Runs a program in a process of its own: a fault here ends the process. */
function run(body: string, ...flags: string[]): string {
  const folder = makeFolder();
  // A program may start workers that begin as it does.
  const program = `${prelude(folder)}
    const prelude = ${JSON.stringify(prelude(folder))};
    ${body}`;
  try {
    const result = spawnSync(process.execPath, [...flags, '-e', program], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    assert.equal(result.status, 0, `${String(result.signal)} ${result.stderr}`);
    return result.stdout;
  } finally {
    removeFolder(folder);
  }
}

const PAIR = `
  const hosts = [];
  const listener = listen((descriptor) => {
    const host = open(descriptor, (batch, count) => host.send(3, new Uint8Array(100)));
    host.resume();
    hosts.push(host);
  });
  const connector = open(native.connectUnix(file), (batch, count) => connector.send(3, new Uint8Array(100)));
  connector.resume();
  connector.send(3, new Uint8Array(100));`;

describe('native handles', () => {
  it('are collected with what their callbacks know once they are closed, by either side', () => {
    const out = run(
      `
      const fs = require('node:fs');
      const collected = { connector: 0, host: 0, listener: 0 };
      const registry = new FinalizationRegistry((kind) => collected[kind]++);
      // Each callback refers to the object that it belongs to, as a channel's do.
      const own = (kind, make) => {
        const owner = { native: undefined };
        owner.native = make(owner);
        registry.register(owner, kind);
        return owner;
      };
      const round = () => new Promise((resolve) => {
        const listener = own('listener', (owner) => listen((descriptor) => {
          const host = own('host', (owner) => open(descriptor, () => owner, () => {
            listener.native.close();
            resolve(owner);
          }));
          host.native.resume();
          connector.native.destroy();
        }));
        const connector = own('connector', (owner) => open(native.connectUnix(file), () => owner, () => owner));
      });
      (async () => {
        for (let i = 0; i < 50; i++) {
          await round();
          fs.rmSync(file, { force: true });
        }
        // The last ones may still be on the stack.
        while (Object.values(collected).some((count) => count < 45)) {
          gc();
          await new Promise(setImmediate);
        }
        console.log('collected');
      })();`,
      '--expose-gc',
    );
    assert.equal(out, 'collected\n');
  });

  it('live through the exit of the process in the middle of traffic', () => {
    run(`${PAIR} setTimeout(() => process.exit(0), 50);`);
  });

  it('are closed when a worker thread exits in the middle of traffic, on its own or stopped', () => {
    const out = run(`
      const fs = require('node:fs');
      const countSockets = () => fs.readdirSync('/proc/self/fd').filter((name) => {
        // The descriptor that reads this folder is closed by now.
        try { return fs.fstatSync(Number(name)).isSocket(); } catch { return false; }
      }).length;
      const before = countSockets();
      (async () => {
        for (let i = 0; i < 6; i++) {
          const end = i % 2
            ? 'setTimeout(() => process.exit(0), 30)'
            : 'require("node:worker_threads").parentPort.postMessage("up")';
          const worker = new Worker(prelude + ${JSON.stringify(PAIR)} + end, { eval: true });
          if (i % 2 === 0) worker.once('message', () => setTimeout(() => worker.terminate(), 30));
          await new Promise((resolve) => worker.once('exit', resolve));
        }
        console.log('sockets left', countSockets() - before);
      })();`);
    assert.match(out, /sockets left 0\n/);
  });

  it('may be closed and destroyed twice, and used after', () => {
    run(`${PAIR}
      connector.close(); connector.close(); connector.destroy(); connector.destroy();
      connector.send(3, new Uint8Array(10)); connector.pause(); connector.resume();
      if (connector.bufferedBytes() !== 0 || connector.counters().length !== 6) throw new Error();
      listener.close(); listener.close();
      setTimeout(() => hosts.forEach((host) => host.destroy()), 20);`);
  });

  it('may be destroyed from within their own callbacks', () => {
    run(`
      const listener = listen((descriptor) => {
        const host = open(descriptor, () => { host.destroy(); listener.close(); });
        host.resume();
      });
      const connector = open(native.connectUnix(file), ignore, () => connector.destroy());
      connector.resume();
      connector.send(3, new Uint8Array(100));`);
  });

  it('are collected once closed, and not before', () => {
    const out = run(
      `
      let collected = 0;
      const registry = new FinalizationRegistry(() => collected++);
      const listener = listen((descriptor) => {
        const host = open(descriptor, ignore, ignore);
        host.resume();
        registry.register(host);
      });
      let channels = Array.from({ length: 10 }, () => open(native.connectUnix(file)));
      channels.forEach((channel) => registry.register(channel));
      let before;
      setTimeout(() => {
        gc();
        setTimeout(() => {
          before = collected;
          channels.forEach((channel) => channel.destroy());
          channels = undefined;
          const poll = setInterval(() => {
            gc();
            if (collected < 20) return;
            clearInterval(poll);
            listener.close();
            console.log('before', before);
          }, 50);
        }, 50);
      }, 50);`,
      '--expose-gc',
    );
    assert.match(out, /before 0/);
  });

  it('pass what a handler throws to uncaughtException, and go on', () => {
    const out = run(`
      process.on('uncaughtException', (error) => console.log('caught', error.message));
      let batches = 0;
      const listener = listen((descriptor) => {
        const host = open(descriptor, () => {
          batches++;
          if (batches === 1) { connector.send(3, new Uint8Array(100)); throw new Error('thrown'); }
          host.destroy(); connector.destroy(); listener.close();
          console.log('went on');
        });
        host.resume();
      });
      const connector = open(native.connectUnix(file));
      connector.send(3, new Uint8Array(100));`);
    assert.match(out, /caught thrown\nwent on/);
  });

  it('hold large bodies as long as JavaScript does', () => {
    run(
      `
      const kept = [];
      const listener = listen((descriptor) => {
        const host = open(descriptor, (batch, count, large) => {
          kept.push(...large.map((buffer) => new Uint8Array(buffer)));
          if (kept.length < 20) return;
          gc();
          kept.forEach((body, i) => { if (body.some((byte) => byte !== i + 1)) throw new Error('changed'); });
          host.destroy(); connector.destroy(); listener.close();
        });
        host.resume();
      });
      const connector = open(native.connectUnix(file));
      for (let i = 0; i < 20; i++) connector.send(3, new Uint8Array(500_000).fill(i + 1));`,
      '--expose-gc',
    );
  });
});
