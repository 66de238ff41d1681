import type { Command } from 'commander';
import type { ControlRequest } from '../../host/daemon/control.js';

export function addControlOption(command: Command): Command {
  return command.option('--control <socket>', "the daemon's control socket (default: one for this user)");
}

export async function ask(
  control: string | undefined,
  request: ControlRequest,
  onProgress?: (progress: unknown) => void,
): Promise<unknown> {
  const { askControl, defaultControlPath } = await import('../../host/daemon/control.js');
  return askControl(control ?? defaultControlPath(), request, onProgress);
}
