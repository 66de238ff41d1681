/**
 * The rooms of the house, lowest first, in lists of which each is an order of its own. A room imports from itself and from those
 * before it in its list, where it stands in one with the other; rooms of one line don't know each other. The longest name that
 * fits a file is its room.
 */
export const ORDERS: readonly (readonly (readonly string[])[])[] = [
  [['src/protocol'], ['src/channel'], ['src/rpc'], ['src/rpc/connector', 'src/rpc/host']],
  [['src'], ['guest', 'host'], ['entry'], ['lab', 'examples'], ['bench'], ['test']],
  [
    ['native/protocol'],
    ['native/wire'],
    ['native/channel', 'native/files', 'native/engine'],
    ['native/cache'],
    ['native/client', 'native/store'],
    ['native/addon'],
    ['native/test', 'native/fuzz'],
  ],
  [['native/engine'], ['native/engine/program'], ['native/engine/rows']],
  [['native/store/files'], ['native/store/transactions'], ['native/store/upkeep'], ['native/store']],
  [
    ['guest/mariadb/format'],
    ['guest/mariadb/engine'],
    ['guest/mariadb/session'],
    ['guest/mariadb/table'],
    ['guest/mariadb/pushdown'],
    ['guest/mariadb/handler'],
    ['guest/mariadb'],
  ],
];
