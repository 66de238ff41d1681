/** Explains to readers of the figures how they are measured. */
export const NOTES = `Transitions: kicks (guest to hypervisor) and interrupts (back) of the channel's virtio-serial device and the
virtio-blk data disk together, whichever engine is measured; the network device that the client's statements take does not
count. Every engine has a server and a data folder of its own. Connections and tables are open before it is measured.
Cold: the server was ended and started again (so its pools and key caches are empty; InnoDB neither saves nor loads its
pool), the guest's page cache dropped (drop_caches), the data disk bypasses the host's page cache (cache=none) and is
dropped from it all the same; for VAMOS the host's worker was started again and its files dropped from the host's page cache.
Cold workloads take turns, each on tables of its own, so that one such start serves a repetition of them all.
Optimizer, for every engine alike: mrr=on, mrr_cost_based=off, join_cache_bka=on, join_cache_level=6.
W13 is sysbench's mix of statements from this program's client, each connection in its own part of the table.`;
