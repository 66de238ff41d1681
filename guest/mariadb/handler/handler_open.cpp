// A handler's life, what the engine can do, and the locks that a statement's reads take.
#include <sql_class.h>
#include <sql_lex.h>
#include <sql_priv.h>

#include "mariadb/engine/errors.hpp"
#include "mariadb/handler/handler.hpp"
#include "mariadb/session/session.hpp"
#include "wire/batch.hpp"

namespace vamos::mariadb {
namespace {

// A position is the primary key's bytes, zeros, and their number in the last two bytes: as no key begins with
// another, memcmp of positions is the order of keys.
constexpr uint positionLengthBytes = 2;

// A sorted result of so many rows counts as a few first rows. They may be read again one by one.
constexpr ulonglong firstRows = 100;

// Whether the statement wants a few rows of some order: ORDER BY … LIMIT. Not yet resolved when tables are
// locked, so only a number or a parameter tells.
bool asksForFirstRows(const TABLE* table) {
  const TABLE_LIST* reference = table ? table->pos_in_table_list : nullptr;
  const SELECT_LEX* select = reference ? reference->select_lex : nullptr;
  if (!select || select->order_list.elements == 0 || !select->limit_params.explicit_limit) return false;
  const auto rows = [](Item* item) -> ulonglong {
    if (!item) return 0;
    return item->basic_const_item() ? item->val_uint() : ULONGLONG_MAX;
  };
  Item* const limit = select->limit_params.select_limit;
  return limit && rows(limit) <= firstRows && rows(select->limit_params.offset_limit) <= firstRows;
}

}  // namespace

ha_vamos::ha_vamos(handlerton* hton, TABLE_SHARE* share) : handler(hton, share) {
  init_alloc_root(PSI_NOT_INSTRUMENTED, &blobMemory_, 8192, 0, MYF(0));
}

ha_vamos::~ha_vamos() { free_root(&blobMemory_, MYF(0)); }

Session& ha_vamos::session() const { return Session::of(ha_thd()); }

int ha_vamos::open(const char* path, int, uint) {
  lock_shared_ha_data();
  share_ = static_cast<Table*>(get_ha_share_ptr());
  int error = 0;
  if (!share_) {
    std::unique_ptr<Table> opened;
    error = openTable(path, *table_share, session(), opened);
    if (!error) {
      share_ = opened.release();
      set_ha_share_ptr(share_);
    }
  }
  unlock_shared_ha_data();
  if (error) return error;
  ref_length = share_->codec->maxPrimaryKeyBytes() + positionLengthBytes;
  key_used_on_scan = table_share->primary_key;
  showStatistics(HA_STATUS_NO_LOCK | HA_STATUS_VARIABLE | HA_STATUS_CONST);
  return 0;
}

int ha_vamos::close() {
  Session* session = Session::find(ha_thd());
  if (session) session->forgetOwner(*this);
  free_root(&blobMemory_, MYF(0));
  share_ = nullptr;
  return 0;
}

handler* ha_vamos::clone(const char* name, MEM_ROOT* memory) {
  handler* copy = handler::clone(name, memory);
  if (copy) {
    auto* other = static_cast<ha_vamos*>(copy);
    other->lock_ = other->storedLock_ = lock_;  // its external_lock says F_RDLCK
    other->skipsLocked_ = skipsLocked_;
    other->modifies_ = modifies_;
  }
  return copy;
}

// Asked for at each lock, too. Going back to rows for their other columns is slow, so a sort takes whole rows
// along in a temporary table; but then the server looks at no index for the order, and for a few first rows
// that is worse.
handler::Table_flags ha_vamos::table_flags() const {
  return HA_REC_NOT_IN_SEQ | HA_NULL_IN_KEY | HA_CAN_INDEX_BLOBS | HA_CAN_GEOMETRY | HA_CAN_VIRTUAL_COLUMNS |
         HA_CAN_SQL_HANDLER | HA_CAN_SKIP_LOCKED | HA_PARTIAL_COLUMN_READ | HA_TABLE_SCAN_ON_INDEX |
         HA_REQUIRES_KEY_COLUMNS_FOR_DELETE | HA_PRIMARY_KEY_REQUIRED_FOR_POSITION |
         HA_PRIMARY_KEY_IN_READ_INDEX | HA_CAN_TABLE_CONDITION_PUSHDOWN | HA_CAN_DIRECT_UPDATE_AND_DELETE |
         HA_BINLOG_ROW_CAPABLE | HA_CRASH_SAFE | HA_CAN_FORCE_BULK_UPDATE | HA_CAN_FORCE_BULK_DELETE |
         HA_CONCURRENT_OPTIMIZE | HA_CAN_TABLES_WITHOUT_ROLLBACK | HA_CAN_ONLINE_BACKUPS |
         (get_lock_type() != F_UNLCK && asksForFirstRows(table) ? 0 : HA_SLOW_RND_POS);
}

ulong ha_vamos::index_flags(uint index, uint, bool) const {
  return HA_READ_NEXT | HA_READ_PREV | HA_READ_ORDER | HA_READ_RANGE | HA_KEYREAD_ONLY |
         HA_DO_INDEX_COND_PUSHDOWN | (index == table_share->primary_key ? HA_CLUSTERED_INDEX : 0);
}

const char* ha_vamos::index_type(uint) { return "BTREE"; }

uint ha_vamos::max_supported_record_length() const { return HA_MAX_REC_LENGTH; }
uint ha_vamos::max_supported_keys() const { return MAX_KEY; }
uint ha_vamos::max_supported_key_length() const { return 3072; }
uint ha_vamos::max_supported_key_part_length() const { return 3072; }

// What a statement's reads of the table lock, as InnoDB does: nothing for plain ones, rows shared where the
// statement writes elsewhere what it reads here, and rows it may change exclusively (external_lock says so).
void ha_vamos::chooseLock(THD* thd, thr_lock_type lockType) {
  const int command = thd_sql_command(thd);
  const bool readsCommitted = thd_tx_isolation(thd) <= ISO_READ_COMMITTED;
  storedLock_ = wire::Lock::NONE;
  skipsLocked_ = lockType == TL_READ_SKIP_LOCKED || lockType == TL_WRITE_SKIP_LOCKED;
  const bool isPlain = lockType == TL_READ || lockType == TL_READ_NO_INSERT;
  const bool locksAll = thd_in_lock_tables(thd) && (lockType == TL_READ || lockType == TL_READ_HIGH_PRIORITY);
  if (!locksAll && lockType != TL_READ_WITH_SHARED_LOCKS && lockType != TL_READ_SKIP_LOCKED &&
      lockType != TL_READ_NO_INSERT && command == SQLCOM_SELECT) {
    return;
  }
  if (command == SQLCOM_CHECKSUM || (command == SQLCOM_ANALYZE && lockType == TL_READ) ||
      command == SQLCOM_CREATE_SEQUENCE || command == SQLCOM_FLUSH || command == SQLCOM_DROP_TABLE) {
    return;
  }
  if (readsCommitted && isPlain &&
      (command == SQLCOM_INSERT_SELECT || command == SQLCOM_REPLACE_SELECT || command == SQLCOM_UPDATE ||
       command == SQLCOM_CREATE_TABLE)) {
    return;
  }
  storedLock_ = wire::Lock::SHARED;
}

THR_LOCK_DATA** ha_vamos::store_lock(THD* thd, THR_LOCK_DATA** to, thr_lock_type lockType) {
  if (lockType != TL_IGNORE) chooseLock(thd, lockType);
  return to;
}

int ha_vamos::external_lock(THD* thd, int lockType) {
  Session& session = Session::of(thd);
  if (lockType == F_UNLCK) {
    const int error = flushUnseen();
    // HANDLER goes on from its row, in another transaction.
    isSuspended_ = inited != NONE && cursor_.isOpen() && thd_sql_command(thd) == SQLCOM_HA_READ;
    if (isSuspended_) current_.keepKey();
    const std::string_view key = current_.primaryKey;
    endScan();
    if (isSuspended_) current_.primaryKey = key;
    session.forgetOwner(*this);
    isLockedForWrite_ = false;
    return error;
  }
  isLockedForWrite_ = lockType == F_WRLCK;
  lock_ = isLockedForWrite_ ? wire::Lock::EXCLUSIVE : storedLock_;
  if (lock_ == wire::Lock::NONE && thd_tx_isolation(thd) == ISO_SERIALIZABLE &&
      thd_test_options(thd, OPTION_NOT_AUTOCOMMIT | OPTION_BEGIN)) {
    lock_ = wire::Lock::SHARED;
  }
  beginUse(thd);
  return 0;
}

// Under LOCK TABLES, which locked the table before: the statement's own kind of read.
int ha_vamos::start_stmt(THD* thd, thr_lock_type lockType) {
  if (isLockedForWrite_ || lockType >= TL_FIRST_WRITE) {
    lock_ = wire::Lock::EXCLUSIVE;
  } else if (thd_sql_command(thd) == SQLCOM_SELECT && lockType == TL_READ) {
    lock_ = wire::Lock::NONE;
  } else {
    lock_ = wire::Lock::SHARED;
  }
  beginUse(thd);
  return 0;
}

void ha_vamos::beginUse(THD* thd) {
  const int command = thd_sql_command(thd);
  if (isSequence()) {
    lock_ = wire::Lock::NONE;
    modifies_ = isLockedForWrite_;
    unseen_.isTable = false;
    return;
  }
  modifies_ = lock_ == wire::Lock::EXCLUSIVE && command != SQLCOM_SELECT && command != SQLCOM_HA_READ;
  // ALTER TABLE copies with transactions off, into a table that only it sees. Unique keys that the server
  // checks itself (long ones, WITHOUT OVERLAPS) it looks up in the transaction.
  unseen_.isTable = modifies_ && !thd->transaction->on && !table_share->long_unique_table &&
                    table_share->period.unique_keys == 0;
  isBulkInsert_ = false;
  leavesTraces_.reset();
  if (unseen_.isTable) return;
  Session::of(thd).beginStatement(modifies_ ? Use::WRITE : lock_ == wire::Lock::NONE ? Use::READ : Use::LOCK);
}

int ha_vamos::extra(ha_extra_function operation) {
  switch (operation) {
    case HA_EXTRA_WRITE_CAN_REPLACE:
    case HA_EXTRA_INSERT_WITH_UPDATE:
      changesDuplicates_ = true;
      [[fallthrough]];
    case HA_EXTRA_IGNORE_DUP_KEY:
      ignoresDuplicates_ = true;
      break;
    case HA_EXTRA_NO_IGNORE_DUP_KEY:
    case HA_EXTRA_WRITE_CANNOT_REPLACE:
      ignoresDuplicates_ = changesDuplicates_ = false;
      break;
    default:
      break;
  }
  return 0;
}

// The statement is over.
int ha_vamos::reset() {
  endScan();
  positions_.clear();
  filter_.clear();
  indexFilter_.clear();
  ignoresDuplicates_ = changesDuplicates_ = isSemiConsistent_ = false;
  refusedRow_.clear();
  direct_.values = nullptr;
  current_.isUnlocked = false;
  free_root(&blobMemory_, MYF(MY_MARK_BLOCKS_FREE));
  return 0;
}

void ha_vamos::print_error(int error, myf flags) {
  // raiseRefusal said it already.
  const Session* session = Session::find(ha_thd());
  if (ha_thd()->is_error() && (error == HA_ERR_FOUND_DUPP_KEY || (session && session->isRaised()))) return;
  handler::print_error(error, flags);
}

bool ha_vamos::get_error_message(int error, String* buffer) {
  const Session* session = Session::find(ha_thd());
  return session ? getErrorMessage(error, session->failure(), buffer) : false;
}

}  // namespace vamos::mariadb
