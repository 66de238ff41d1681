#pragma once

#include <rocksdb/slice_transform.h>
#include <rocksdb/utilities/write_batch_with_index.h>

#include <memory>

// The order in which writes reach a memtable. It is a skip list, which finds the place of a key near the last
// one in a few steps, and the place of any other key in a search from its top that misses the processor's
// cache at nearly each step.
namespace vamos::store {

// Gives each space of a table its own last place, so that entries of several indexes which are written in
// turn do not lose it.
std::shared_ptr<const rocksdb::SliceTransform> placesOfSpaces();

// A transaction of at least this many writes is committed in the order of its keys.
constexpr uint32_t minSortedWrites = 64;

// Adds what a transaction wrote and may read to a batch, in the order of the keys: rows that are inserted in
// the order of their primary key have entries all over their secondary indexes. false: the batch is of no
// use, since the index holds a key twice, or something that is neither a put nor a delete.
bool sortWrites(rocksdb::WriteBatchWithIndex& writes, rocksdb::WriteBatch& sorted);

}  // namespace vamos::store
