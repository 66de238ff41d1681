#include "mariadb/session/waiting.hpp"

#include <algorithm>
#include <utility>

#include "protocol/methods.hpp"

namespace vamos::mariadb {

client::Request WaitingRequest::request(const wire::Scope& scope) const {
  if (!hasRows()) return {method, body};
  wire::Write write;
  write.table = table;
  write.version = version;
  write.scope = scope;
  if (scope.inTransaction) write.scope.statement = statement;
  write.batch = body;
  write.autoIncrementSeen = autoIncrementSeen;
  write.duplicateLock = duplicateLock;
  return {method, write.encode()};
}

void WaitingRequests::addRows(const RowsToWrite& write, const RowsOfStatement& of,
                              std::vector<uint64_t> blobs) {
  WaitingRequest* last = requests_.empty() ? nullptr : &requests_.back();
  const bool joins = last && of.owner && last->owner == of.owner && last->method == write.method &&
                     last->statement == of.statement && last->mayWait == write.mayWait &&
                     last->duplicateLock == write.duplicateLock && last->valuesEpoch == write.valuesEpoch;
  if (!joins) {
    last = &requests_.emplace_back();
    last->method = write.method;
    last->statement = of.statement;
    last->owner = of.owner;
    last->table = write.table;
    last->version = write.version;
    last->mayWait = write.mayWait;
    last->duplicateLock = write.duplicateLock;
    last->firstRowNumber = of.rowNumber;
    last->valuesEpoch = write.valuesEpoch;
  }
  last->body.append(write.rows);
  last->blobs.insert(last->blobs.end(), blobs.begin(), blobs.end());
  last->autoIncrementSeen = std::max(last->autoIncrementSeen, write.autoIncrementSeen);
  if (of.givesInsertId && !last->insertIdRow) last->insertIdRow = last->rows;
  last->rows++;
  bytes_ += write.rows.size();
  blobs_ += blobs.size();
}

void WaitingRequests::addSavepoint(std::string body, uint64_t sets) {
  WaitingRequest& request = requests_.emplace_back();
  request.method = wire::Method::SAVEPOINT;
  request.body = std::move(body);
  request.savepoint = sets;
}

bool WaitingRequests::hasOthersThan(uint32_t statement) const {
  return std::any_of(begin(), end(),
                     [statement](const WaitingRequest& request) { return request.statement != statement; });
}

bool WaitingRequests::hasDueRows() const {
  return std::any_of(begin(), end(),
                     [](const WaitingRequest& request) { return request.mayWait != MayWait::UNTIL_COMMIT; });
}

bool WaitingRequests::givesInsertIdFrom(size_t place, uint32_t row) const {
  for (size_t other = place; other < requests_.size(); ++other) {
    const std::optional<uint32_t> insertIdRow = requests_[other].insertIdRow;
    if (insertIdRow && (other > place || row <= *insertIdRow)) return true;
  }
  return false;
}

std::optional<size_t> WaitingRequests::placeOfSavepoint(uint64_t savepoint) const {
  const auto found = std::find_if(
      begin(), end(), [savepoint](const WaitingRequest& request) { return request.savepoint == savepoint; });
  if (found == end()) return std::nullopt;
  return static_cast<size_t>(found - begin());
}

void WaitingRequests::forgetOwner(const RowOwner& owner) {
  for (WaitingRequest& request : requests_) {
    if (request.owner == &owner) request.owner = nullptr;
  }
}

WaitingRequest WaitingRequests::take(size_t place) { return std::move(requests_[place]); }

std::vector<uint64_t> WaitingRequests::remove(size_t from) {
  std::vector<uint64_t> blobs;
  for (size_t place = from; place < requests_.size(); ++place) {
    blobs.insert(blobs.end(), requests_[place].blobs.begin(), requests_[place].blobs.end());
  }
  requests_.resize(from);
  bytes_ = blobs_ = 0;
  for (const WaitingRequest& request : requests_) {
    bytes_ += request.hasRows() ? request.body.size() : 0;
    blobs_ += request.blobs.size();
  }
  return blobs;
}

std::vector<uint64_t> WaitingRequests::removeStatement(uint32_t statement) {
  const auto own = std::stable_partition(
      requests_.begin(), requests_.end(),
      [statement](const WaitingRequest& request) { return request.statement != statement; });
  return remove(static_cast<size_t>(own - requests_.begin()));
}

}  // namespace vamos::mariadb
