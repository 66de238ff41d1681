export { type Address, parseAddress } from './address.js';
export { Backoff, type BackoffOptions } from './backoff.js';
export type { Accept, Channel, ChannelCounters, ChannelHandlers, FrameKind, Listener } from './channel.js';
export { HIGH_WATER_BYTES } from './channel.js';
export { crc32c } from './crc32c.js';
export type { ChannelOptions } from './descriptor_channel.js';
export { type ListenOptions, listenChannel } from './listen.js';
export { connectChannel } from './open.js';
