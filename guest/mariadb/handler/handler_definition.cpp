// Tables come, go and change their shape.
#include <my_global.h>
#include <sql_class.h>
#include <sql_lex.h>

#include <algorithm>
#include <limits>

#include "mariadb/engine/errors.hpp"
#include "mariadb/handler/handler.hpp"
#include "mariadb/session/cursor.hpp"
#include "mariadb/session/session.hpp"
#include "mariadb/table/blobs.hpp"
#include "mariadb/table/definition.hpp"

namespace vamos::mariadb {
namespace {

using wire::Method;

// The name is that of a work table, such as a copying ALTER makes. A crash may leave one whose name is used
// again.
bool isWorkName(std::string_view name) { return name.find("/#sql") != std::string_view::npos; }

// The name under which a table, or a partition of one, is filled with the rows of another one that it is
// about to replace. Rows come there as they are copied, so a snapshot taken meanwhile has some of them.
bool isCopyName(std::string_view name) {
  return name.find("/#sql-alter") != std::string_view::npos || name.ends_with("#TMP#");
}

// The statement defines a foreign key. Others make tables, too, without saying what of: an UPDATE adds
// partitions for history.
bool definesForeignKey(THD* thd) {
  const int command = thd_sql_command(thd);
  if (command != SQLCOM_CREATE_TABLE && command != SQLCOM_ALTER_TABLE) return false;
  List_iterator_fast<Key> keys(thd->lex->alter_info.key_list);
  while (const Key* key = keys++) {
    if (key->type == Key::FOREIGN_KEY) return true;
  }
  return false;
}

std::unique_ptr<Codec> makeCodec(const TABLE_SHARE& share) {
  std::string refusal;
  std::unique_ptr<Codec> codec = Codec::make(share, refusal);
  if (!codec) my_printf_error(ER_UNSUPPORTED_EXTENSION, "%s", MYF(0), refusal.c_str());
  return codec;
}

// Returns the bytes of the .frm, which come with CREATE or stand beside the table.
std::string frmImage(TABLE_SHARE& share) {
  if (share.frm_image != nullptr) {
    return {reinterpret_cast<const char*>(share.frm_image->str), share.frm_image->length};
  }
  const uchar* bytes = nullptr;
  size_t lengthBytes = 0;
  if (share.read_frm_image(&bytes, &lengthBytes)) return {};
  std::string image(reinterpret_cast<const char*>(bytes), lengthBytes);
  share.free_frm_image(bytes);
  return image;
}

int drop(Session& session, const std::string& name) {
  return callDefinition(session, Method::DROP_TABLE, wire::TableName{name}.encode());
}

// Drops a table that the open transaction may use. The host drops it when the transaction ends, and its name
// is free immediately.
int dropUsed(Session& session, const std::string& name, wire::TableInfo& info) {
  Reply reply;
  const int error = session.callAlone(Method::OPEN_TABLE, wire::TableName{name}.encode(), reply);
  if (error != 0) return error;
  if (!wire::TableInfo::decode(reply.body, info)) return HA_ERR_INTERNAL_ERROR;
  std::string gone = name.substr(0, name.rfind('/'));
  gone.append(droppedName).append(std::to_string(info.table));
  const wire::RenameTable away{name, std::move(gone)};
  if (const int failed = callDefinition(session, Method::RENAME_TABLE, away.encode())) return failed;
  session.dropAfterTransaction(away.to);
  return 0;
}

// TRUNCATE of a temporary table within a transaction that uses it.
int replaceByEmpty(Session& session, const std::string& name) {
  wire::TableInfo info;
  if (const int error = dropUsed(session, name, info)) return error;
  return callDefinition(session, Method::CREATE_TABLE, wire::CreateTable{info.definition, 0, true}.encode());
}

bool hasForeignRowFormat(const HA_CREATE_INFO& info) {
  return info.row_type == ROW_TYPE_FIXED || info.row_type == ROW_TYPE_PAGE;
}

}  // namespace

int ha_vamos::create(const char* path, TABLE* form, HA_CREATE_INFO* info) {
  THD* thd = ha_thd();
  if (definesForeignKey(thd)) {
    my_printf_error(ER_UNSUPPORTED_EXTENSION, "ENGINE=VAMOS has no foreign keys", MYF(0));
    return HA_ERR_UNSUPPORTED;
  }
  // What InnoDB refuses, too: no index has a file of its own, and rows have one format.
  if (info->index_file_name != nullptr) return HA_WRONG_CREATE_OPTION;
  if (hasForeignRowFormat(*info)) {
    my_error(ER_ILLEGAL_HA_CREATE_OPTION, MYF(0), table_type(), "ROW_TYPE");
    return HA_WRONG_CREATE_OPTION;
  }
  if (info->data_file_name != nullptr) {
    push_warning_printf(thd, Sql_condition::WARN_LEVEL_WARN, WARN_OPTION_IGNORED,
                        ER_THD(thd, WARN_OPTION_IGNORED), "DATA DIRECTORY");
  }
  const std::unique_ptr<Codec> codec = makeCodec(*form->s);
  if (!codec) return HA_ERR_UNSUPPORTED;
  const std::string name = hostName(path);
  const bool isTemporary = isTemporaryName(name);
  const bool isPartition = isPartitionName(name);
  Session& own = session();
  dropLeftovers(own);
  wire::CreateTable message;
  message.definition =
      definitionOf(*form, *codec, name, isTemporary || isPartition ? std::string{} : frmImage(*form->s));
  message.nextAutoIncrement = info->auto_increment_value;
  message.temporary = isTemporary;
  const std::string body = message.encode();
  int error = callDefinition(own, Method::CREATE_TABLE, body);
  if (error == HA_ERR_TABLE_EXIST && isWorkName(name)) {
    error = drop(own, name);
    if (error == 0) error = callDefinition(own, Method::CREATE_TABLE, body);
  }
  if (error != 0) return error;
  // The server leaves the .frm to engines that discover tables.
  if (!info->tmp_table() && !isPartition && form->s->write_frm_image()) {
    drop(own, name);
    return HA_ERR_GENERIC;
  }
  return 0;
}

int ha_vamos::delete_table(const char* path) {
  const std::string name = hostName(path);
  Session& own = session();
  if (own.isOpenOnHost() && isTemporaryName(name)) {
    own.dropAfterTransaction(name);
    return 0;
  }
  // CREATE TABLE … SELECT failed, and its transaction is not yet rolled back.
  if (own.isOpenOnHost()) {
    wire::TableInfo info;
    const int error = dropUsed(own, name, info);
    if (!own.mustRollBack()) return error;
  }
  return drop(own, name);
}

int ha_vamos::rename_table(const char* from, const char* to) {
  const std::string name = hostName(from);
  const std::string target = hostName(to);
  const wire::RenameTable message{name, target, isCopyName(name) && !isCopyName(target)};
  const int error = callDefinition(session(), Method::RENAME_TABLE, message.encode());
  if (error != HA_ERR_TABLE_EXIST || !isWorkName(message.to)) return error;
  if (const int failed = drop(session(), message.to)) return failed;
  return callDefinition(session(), Method::RENAME_TABLE, message.encode());
}

int ha_vamos::truncate() {
  Session& own = session();
  const std::string name = wire::TableName{share_->name}.encode();
  Reply reply;
  if (own.isOpenOnHost()) {
    if (const int error = replaceByEmpty(own, share_->name)) return error;
  } else if (const int error = own.callAlone(Method::TRUNCATE_TABLE, name, reply)) {
    return error;
  }
  if (const int error = own.callAlone(Method::OPEN_TABLE, name, reply)) return error;
  wire::TableInfo info;
  if (!wire::TableInfo::decode(reply.body, info)) return HA_ERR_INTERNAL_ERROR;
  share_->setInfo(info);
  return 0;
}

// Finds the value behind the largest one that a row has in the auto-increment column. It is 1 if no row has a
// positive one.
int ha_vamos::nextBehindRows(uint64_t& next) {
  const uint index = table_share->next_number_index;
  const Field& field = *table->found_next_number_field;
  MY_BITMAP* const columns = &table->tmp_set;
  bitmap_clear_all(columns);
  bitmap_set_bit(columns, field.field_index);
  const Projection projection = share_->codec->projection(columns);
  wire::OpenCursor request;
  request.table = share_->number;
  request.version = share_->version;
  request.scope = session().scopeAlone();
  request.index = share_->codec->indexOf(index);
  request.reverse = (table->key_info[index].key_part[0].key_part_flag & HA_REVERSE_SORT) == 0;
  request.columns = projection.columns;
  request.limitRows = request.firstRows = 1;
  Cursor cursor;
  Row row;
  next = 1;
  int error = cursor.open(session(), request);
  if (error == 0) error = cursor.next(session(), row);
  if (error == 0) {
    SessionBlobs blobs(session());
    error = share_->codec->decodeRow(row.bytes, projection, table->record[0], blobs, &blobMemory_);
  }
  if (error == 0) {
    const uint64_t largest = givenAutoIncrement(table->record[0]);
    next = largest == std::numeric_limits<uint64_t>::max() ? largest : largest + 1;
  }
  cursor.close(session());
  return error == HA_ERR_END_OF_FILE ? 0 : error;
}

// TRUNCATE does it with the rows; ALTER TABLE … AUTO_INCREMENT redefines the table.
int ha_vamos::reset_auto_increment(ulonglong) { return 0; }

void ha_vamos::update_create_info(HA_CREATE_INFO* created) {
  if ((created->used_fields & HA_CREATE_USED_AUTO) != 0 || table->found_next_number_field == nullptr) return;
  info(HA_STATUS_AUTO);
  created->auto_increment_value = stats.auto_increment_value;
}

// EXCHANGE PARTITION asks this.
bool ha_vamos::check_if_incompatible_data(HA_CREATE_INFO*, uint changes) {
  return changes == IS_EQUAL_YES ? COMPATIBLE_DATA_YES : COMPATIBLE_DATA_NO;
}

bool ha_vamos::setsAutoIncrement(const Alter_inplace_info& info) const {
  return (info.create_info->used_fields & HA_CREATE_USED_AUTO) != 0 &&
         table->found_next_number_field != nullptr;
}

// A change of the definition that changes no row is made in place. Any other copies the rows.
enum_alter_inplace_result ha_vamos::check_if_supported_inplace_alter(TABLE* altered,
                                                                     Alter_inplace_info* info) {
  constexpr alter_table_operations inPlace =
      ALTER_COLUMN_NAME | ALTER_RENAME_COLUMN | ALTER_CHANGE_COLUMN_DEFAULT | ALTER_COLUMN_OPTION |
      ALTER_OPTIONS | ALTER_RENAME_INDEX | ALTER_CHANGE_INDEX_COMMENT | ALTER_INDEX_IGNORABILITY |
      ALTER_COLUMN_NULLABLE | ALTER_COLUMN_TYPE_CHANGE_BY_ENGINE | ALTER_COLUMN_INDEX_LENGTH |
      ALTER_DROP_CHECK_CONSTRAINT | ALTER_RENAME | ALTER_INDEX_ORDER | ALTER_COLUMN_ORDER |
      ALTER_COLUMN_UNVERSIONED | ALTER_ADD_VIRTUAL_COLUMN | ALTER_DROP_VIRTUAL_COLUMN |
      ALTER_VIRTUAL_COLUMN_ORDER;
  // A copy is refused then, with the reason.
  if (hasForeignRowFormat(*info->create_info)) return HA_ALTER_INPLACE_NOT_SUPPORTED;
  if ((info->handler_flags & ~inPlace) != 0) return HA_ALTER_INPLACE_NOT_SUPPORTED;
  if ((info->create_info->used_fields & HA_CREATE_USED_ENGINE) != 0 &&
      info->create_info->db_type != table->s->db_type()) {
    return HA_ALTER_INPLACE_NOT_SUPPORTED;
  }
  // Hidden keys are made of the counter's values, too, which then must not come again: rows of a copy get new
  // ones.
  if (setsAutoIncrement(*info) && share_->codec->hasHiddenKey()) return HA_ALTER_INPLACE_NOT_SUPPORTED;
  std::string refusal;
  const std::unique_ptr<Codec> codec = Codec::make(*altered->s, refusal);
  if (!codec || !codec->readsAs(*share_->codec)) return HA_ALTER_INPLACE_NOT_SUPPORTED;
  return HA_ALTER_INPLACE_INSTANT;
}

bool ha_vamos::prepare_inplace_alter_table(TABLE*, Alter_inplace_info*) { return false; }

bool ha_vamos::inplace_alter_table(TABLE*, Alter_inplace_info*) { return false; }

bool ha_vamos::commit_inplace_alter_table(TABLE* altered, Alter_inplace_info* info, bool isCommit) {
  info->group_commit_ctx = nullptr;
  if (!isCommit) return false;
  const std::unique_ptr<Codec> codec = makeCodec(*altered->s);
  if (!codec) return true;
  wire::RedefineTable message;
  message.name = share_->name;
  message.definition = definitionOf(*altered, *codec, share_->name,
                                    isPartitionName(share_->name) ? std::string{} : frmImage(*altered->s));
  int error = 0;
  if (setsAutoIncrement(*info)) {
    error = nextBehindRows(message.nextAutoIncrement);
    message.nextAutoIncrement =
        std::max<uint64_t>(message.nextAutoIncrement, info->create_info->auto_increment_value);
  }
  Reply reply;
  if (error == 0) error = session().callAlone(Method::REDEFINE_TABLE, message.encode(), reply);
  if (error != 0) {
    print_error(error, MYF(0));
    return true;
  }
  wire::TableInfo redefined;
  if (message.nextAutoIncrement == 0 && wire::TableInfo::decode(reply.body, redefined) &&
      redefined.version == share_->version + 1) {
    share_->keepFor(redefined.version);
  }
  return false;
}

}  // namespace vamos::mariadb
