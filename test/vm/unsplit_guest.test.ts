import { expect, test } from 'vitest';
import { BOOT_HOOK_TIMEOUT_MS, bootGuest, shell } from './guest.js';

test(
  'a guest with the store runs both halves in one process on its own disk',
  async () => {
    await using guest = await bootGuest({}, { store: true });
    const script = `
      import { connect } from 'vamos/guest';
      const vamos = await connect('local:/data/root');
      await vamos.files.writeFile('hello', 'unsplit');
      await vamos.tables.list();
      await vamos.close();`;
    const result = await guest.vm.exec(['node', '--input-type=module', '-e', script], { timeoutMs: 120_000 });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(await shell(guest.vm, 'cat /data/root/files/hello')).toBe('unsplit');
  },
  BOOT_HOOK_TIMEOUT_MS,
);
