/** What is compared: MariaDB's engines, each in a server and a data folder of its own in the same guest. */
import { TUNED_INNODB } from '../guest_mariadb.js';
import type { EngineName, TransitionRow } from './result.js';

export interface Engine {
  /** The engine's name in CREATE TABLE. */
  clause: string;
  channel: TransitionRow['channel'];
  /** Arguments of mariadbd. */
  args: readonly string[];
}

/** If InnoDB saved its pool at a shutdown and loaded it at the next start, it would not be cold after one. */
const COLD_POOL = ['--innodb-buffer-pool-dump-at-shutdown=OFF', '--innodb-buffer-pool-load-at-startup=OFF'];

export const ENGINE_SETTINGS: Record<EngineName, Engine> = {
  innodb: { clause: 'InnoDB', channel: 'virtio-blk', args: COLD_POOL },
  'innodb-tuned': { clause: 'InnoDB', channel: 'virtio-blk', args: [...TUNED_INNODB, ...COLD_POOL] },
  aria: { clause: 'Aria', channel: 'virtio-blk', args: COLD_POOL },
  myisam: { clause: 'MyISAM', channel: 'virtio-blk', args: COLD_POOL },
  vamos: { clause: 'VAMOS', channel: 'virtio-serial', args: COLD_POOL },
};

/** Settings of each connection, whatever the engine: multi-range reads and joins by batched keys. */
export const SESSION_SETTINGS = `SET SESSION optimizer_switch = 'mrr=on,mrr_cost_based=off,join_cache_bka=on', join_cache_level = 6`;
