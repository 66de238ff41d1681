import { expect, test } from 'vitest';
import { BOOT_HOOK_TIMEOUT_MS, bootGuest, shell } from './guest.js';

test(
  'the conformance suite passes over AF_VSOCK, looped back in a guest',
  async () => {
    await using guest = await bootGuest();
    await shell(guest.vm, 'modprobe vsock_loopback');
    const suite = '/opt/vamos/dist/test/channel/conformance-main.js';
    const result = await guest.vm.exec(['node', suite, 'vsock'], { timeoutMs: 200_000 });
    const lines = result.stdout.trim().split('\n');
    expect(lines.filter((line) => !line.startsWith('pass')).join('\n')).toBe('all passed');
    expect(lines.filter((line) => line.startsWith('pass  vsock')).length).toBeGreaterThan(5);
    expect(lines.at(-1)).toBe('all passed');
    expect(result.code).toBe(0);
  },
  BOOT_HOOK_TIMEOUT_MS,
);
