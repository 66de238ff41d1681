// The module `files` on Node's thread pool: each call is one job there and one promise here. The promise
// rejects with an Error whose `errno` is the system call's. Roots and files are externals; a job shares what
// it uses, so a file closed meanwhile stays open until the job is over.
#include "addon/store/files_binding.hpp"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "files/copy.hpp"
#include "files/root.hpp"

namespace vamos {

namespace {

using files::Content;
using files::Errno;
using files::File;
using files::FileStat;
using files::Range;
using files::ReadReply;
using files::Root;
using files::SyncKind;

class Job : public Napi::AsyncWorker {
 public:
  using Work = std::function<Errno()>;
  using Finish = std::function<Napi::Value(Napi::Env)>;

  // `work` runs on a thread, then `finish` makes the promise's value. `input` is memory that work reads.
  static Napi::Value start(Napi::Env env, Work work, Finish finish, Napi::Object input = {}) {
    auto* job = new Job(env, std::move(work), std::move(finish));
    if (!input.IsEmpty()) job->input_ = Napi::Persistent(input);
    const Napi::Promise promise = job->deferred_.Promise();
    job->Queue();
    return promise;
  }

 protected:
  void Execute() override { failure_ = work_(); }

  void OnOK() override {
    if (failure_ == 0) {
      deferred_.Resolve(finish_(Env()));
      return;
    }
    Napi::Error error = Napi::Error::New(Env(), "errno " + std::to_string(failure_));
    error.Set("errno", Napi::Number::New(Env(), failure_));
    deferred_.Reject(error.Value());
  }

  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Job(Napi::Env env, Work work, Finish finish)
      : Napi::AsyncWorker(env, "vamos.files"),
        work_(std::move(work)),
        finish_(std::move(finish)),
        deferred_(Napi::Promise::Deferred::New(env)) {}

  Work work_;
  Finish finish_;
  Errno failure_ = 0;
  Napi::ObjectReference input_;
  Napi::Promise::Deferred deferred_;
};

using SharedRoot = std::shared_ptr<Root>;
using SharedFile = std::shared_ptr<File>;

template <typename Shared>
Napi::Value wrap(Napi::Env env, Shared shared) {
  return Napi::External<Shared>::New(env, new Shared(std::move(shared)),
                                     [](Napi::Env, Shared* held) { delete held; });
}

template <typename Shared>
Shared& unwrap(const Napi::CallbackInfo& info) {
  auto& shared = *info[0].As<Napi::External<Shared>>().Data();
  if (!shared) throw Napi::Error::New(info.Env(), "used after close");
  return shared;
}

std::string pathAt(const Napi::CallbackInfo& info, size_t index) {
  const auto bytes = info[index].As<Napi::Uint8Array>();
  return {reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength()};
}

uint32_t numberAt(const Napi::CallbackInfo& info, size_t index) {
  return info[index].As<Napi::Number>().Uint32Value();
}

bool flagAt(const Napi::CallbackInfo& info, size_t index) { return info[index].As<Napi::Boolean>().Value(); }

// offsets: Float64Array of safe integers, as many as lengths, or empty; lengths: Uint32Array.
std::vector<Range> rangesAt(const Napi::CallbackInfo& info, size_t index) {
  const auto offsets = info[index].As<Napi::Float64Array>();
  const auto lengths = info[index + 1].As<Napi::Uint32Array>();
  std::vector<Range> ranges(lengths.ElementLength());
  for (size_t at = 0; at < ranges.size(); ++at) {
    ranges[at].lengthBytes = lengths[at];
    if (at < offsets.ElementLength()) ranges[at].offset = static_cast<uint64_t>(offsets[at]);
  }
  return ranges;
}

Napi::Value undefined(Napi::Env env) { return env.Undefined(); }

// The order is STAT_FIELDS of binding.ts.
Napi::Value statValue(Napi::Env env, const FileStat& stat) {
  const double fields[] = {
      static_cast<double>(stat.device),
      static_cast<double>(stat.inode),
      static_cast<double>(stat.mode),
      static_cast<double>(stat.links),
      static_cast<double>(stat.user),
      static_cast<double>(stat.group),
      static_cast<double>(stat.specialDevice),
      static_cast<double>(stat.sizeBytes),
      static_cast<double>(stat.blockBytes),
      static_cast<double>(stat.blocks),
      static_cast<double>(stat.accessed.seconds),
      static_cast<double>(stat.modified.seconds),
      static_cast<double>(stat.changed.seconds),
      static_cast<double>(stat.born.seconds),
      static_cast<double>(stat.accessed.nanoseconds),
      static_cast<double>(stat.modified.nanoseconds),
      static_cast<double>(stat.changed.nanoseconds),
      static_cast<double>(stat.born.nanoseconds),
  };
  auto array = Napi::Float64Array::New(env, std::size(fields));
  std::copy(std::begin(fields), std::end(fields), array.Data());
  return array;
}

Napi::Value openRoot(const Napi::CallbackInfo& info) {
  SharedRoot root;
  if (const Errno failure = Root::open(info[0].As<Napi::String>().Utf8Value(), root)) {
    Napi::Error error = Napi::Error::New(info.Env(), "errno " + std::to_string(failure));
    error.Set("errno", Napi::Number::New(info.Env(), failure));
    throw error;
  }
  return wrap(info.Env(), std::move(root));
}

Napi::Value openFile(const Napi::CallbackInfo& info) {
  struct Opened {
    SharedFile file;
    FileStat stat;
  };
  auto opened = std::make_shared<Opened>();
  return Job::start(
      info.Env(),
      [root = unwrap<SharedRoot>(info), path = pathAt(info, 1), flags = numberAt(info, 2),
       mode = numberAt(info, 3),
       opened] { return root->openFile(path, flags, mode, opened->file, opened->stat); },
      [opened](Napi::Env env) {
        auto result = Napi::Object::New(env);
        result.Set("file", wrap(env, std::move(opened->file)));
        result.Set("stat", statValue(env, opened->stat));
        return result;
      });
}

Napi::Value closeFile(const Napi::CallbackInfo& info) {
  // Closing may write, so it is a thread's work; if another job has the file still, that one closes it.
  auto file = std::make_shared<SharedFile>(std::exchange(unwrap<SharedFile>(info), nullptr));
  return Job::start(
      info.Env(),
      [file] {
        const Errno failure = file->use_count() == 1 ? (*file)->close() : 0;
        file->reset();
        return failure;
      },
      undefined);
}

Napi::Value readFile(const Napi::CallbackInfo& info) {
  auto reply = std::make_shared<ReadReply>();
  return Job::start(
      info.Env(),
      [file = unwrap<SharedFile>(info), ranges = rangesAt(info, 1), reply] {
        return file->read(ranges, *reply);
      },
      [reply](Napi::Env env) {
        const size_t lengthBytes = reply->lengthBytes;
        auto buffer = Napi::ArrayBuffer::New(env, reply->bytes.release(), lengthBytes,
                                             [](Napi::Env, void* bytes) { std::free(bytes); });
        return Napi::Uint8Array::New(env, lengthBytes, buffer, 0);
      });
}

Napi::Value writeFile(const Napi::CallbackInfo& info) {
  const auto data = info[3].As<Napi::Uint8Array>();
  auto written = std::make_shared<uint64_t>(0);
  return Job::start(
      info.Env(),
      [file = unwrap<SharedFile>(info), ranges = rangesAt(info, 1), bytes = data.Data(),
       kind = static_cast<SyncKind>(numberAt(info, 4)), whole = flagAt(info, 5),
       written] { return file->write(ranges, bytes, kind, whole, *written); },
      [written](Napi::Env env) { return Napi::Number::New(env, static_cast<double>(*written)); }, data);
}

Napi::Value syncFile(const Napi::CallbackInfo& info) {
  return Job::start(
      info.Env(),
      [file = unwrap<SharedFile>(info), kind = static_cast<SyncKind>(numberAt(info, 1))] {
        return file->sync(kind);
      },
      undefined);
}

Napi::Value truncateFile(const Napi::CallbackInfo& info) {
  const auto lengthBytes = static_cast<uint64_t>(info[1].As<Napi::Number>().DoubleValue());
  return Job::start(
      info.Env(), [file = unwrap<SharedFile>(info), lengthBytes] { return file->truncate(lengthBytes); },
      undefined);
}

Napi::Value statFile(const Napi::CallbackInfo& info) {
  auto stat = std::make_shared<FileStat>();
  return Job::start(
      info.Env(), [file = unwrap<SharedFile>(info), stat] { return file->stat(*stat); },
      [stat](Napi::Env env) { return statValue(env, *stat); });
}

Napi::Value readDirectory(const Napi::CallbackInfo& info) {
  struct Window {
    std::string entries;
    bool atEnd = false;
  };
  auto window = std::make_shared<Window>();
  return Job::start(
      info.Env(),
      [file = unwrap<SharedFile>(info), windowBytes = numberAt(info, 1), window] {
        return file->readDirectory(windowBytes, window->entries, window->atEnd);
      },
      [window](Napi::Env env) {
        auto result = Napi::Object::New(env);
        result.Set("entries", Napi::Buffer<char>::Copy(env, window->entries.data(), window->entries.size()));
        result.Set("atEnd", Napi::Boolean::New(env, window->atEnd));
        return result;
      });
}

Napi::Value statPath(const Napi::CallbackInfo& info) {
  auto stat = std::make_shared<FileStat>();
  return Job::start(
      info.Env(),
      [root = unwrap<SharedRoot>(info), path = pathAt(info, 1), noFollow = flagAt(info, 2), stat] {
        return root->stat(path, noFollow, *stat);
      },
      [stat](Napi::Env env) { return statValue(env, *stat); });
}

Napi::Value accessPath(const Napi::CallbackInfo& info) {
  return Job::start(
      info.Env(),
      [root = unwrap<SharedRoot>(info), path = pathAt(info, 1), mode = numberAt(info, 2)] {
        return root->access(path, mode);
      },
      undefined);
}

Napi::Value makeDirectory(const Napi::CallbackInfo& info) {
  auto firstBytes = std::make_shared<size_t>(0);
  return Job::start(
      info.Env(),
      [root = unwrap<SharedRoot>(info), path = pathAt(info, 1), mode = numberAt(info, 2),
       recursive = flagAt(info, 3),
       firstBytes] { return root->makeDirectory(path, mode, recursive, *firstBytes); },
      [firstBytes](Napi::Env env) { return Napi::Number::New(env, static_cast<double>(*firstBytes)); });
}

Napi::Value renamePath(const Napi::CallbackInfo& info) {
  return Job::start(
      info.Env(),
      [root = unwrap<SharedRoot>(info), from = pathAt(info, 1), to = pathAt(info, 2)] {
        return root->rename(from, to);
      },
      undefined);
}

Napi::Value removePath(const Napi::CallbackInfo& info) {
  return Job::start(
      info.Env(),
      [root = unwrap<SharedRoot>(info), path = pathAt(info, 1), isDirectory = flagAt(info, 2)] {
        return isDirectory ? root->removeDirectory(path) : root->removeFile(path);
      },
      undefined);
}

Napi::Value removeTree(const Napi::CallbackInfo& info) {
  auto done = std::make_shared<bool>(false);
  return Job::start(
      info.Env(),
      [root = unwrap<SharedRoot>(info), path = pathAt(info, 1), maxEntries = numberAt(info, 2), done] {
        return root->removeTree(path, maxEntries, *done);
      },
      [done](Napi::Env env) { return Napi::Boolean::New(env, *done); });
}

// offset, length; a negative length: to the end.
files::Part partAt(const Napi::CallbackInfo& info, size_t index) {
  files::Part part;
  part.offset = static_cast<uint64_t>(info[index].As<Napi::Number>().DoubleValue());
  const double length = info[index + 1].As<Napi::Number>().DoubleValue();
  if (length >= 0) part.lengthBytes = static_cast<uint64_t>(length);
  return part;
}

Napi::Value contentValue(Napi::Env env, const Content& content) {
  auto result = Napi::Object::New(env);
  result.Set("bytes", Napi::Number::New(env, static_cast<double>(content.lengthBytes)));
  result.Set("crc32c", Napi::Number::New(env, content.crc32c));
  return result;
}

Napi::Value readContent(const Napi::CallbackInfo& info) {
  auto content = std::make_shared<Content>();
  return Job::start(
      info.Env(),
      [file = unwrap<SharedFile>(info), part = partAt(info, 1), content] {
        return files::readContent(file->descriptor(), part, *content);
      },
      [content](Napi::Env env) { return contentValue(env, *content); });
}

Napi::Value copyContent(const Napi::CallbackInfo& info) {
  auto content = std::make_shared<Content>();
  return Job::start(
      info.Env(),
      [file = unwrap<SharedFile>(info), part = partAt(info, 1), target = pathAt(info, 3),
       mode = numberAt(info, 4),
       content] { return files::copyContent(file->descriptor(), part, target, mode, *content); },
      [content](Napi::Env env) { return contentValue(env, *content); });
}

Napi::Value linkFile(const Napi::CallbackInfo& info) {
  return Job::start(
      info.Env(),
      [file = unwrap<SharedFile>(info), target = pathAt(info, 1)] {
        return files::linkFile(file->descriptor(), target);
      },
      undefined);
}

Napi::Value syncFileSystem(const Napi::CallbackInfo& info) {
  return Job::start(
      info.Env(), [path = pathAt(info, 0)] { return files::syncFileSystem(path); }, undefined);
}

}  // namespace

void initFiles(Napi::Env env, Napi::Object exports) {
  const std::pair<const char*, Napi::Value (*)(const Napi::CallbackInfo&)> functions[] = {
      {"openRoot", openRoot},
      {"openFile", openFile},
      {"closeFile", closeFile},
      {"readFile", readFile},
      {"writeFile", writeFile},
      {"syncFile", syncFile},
      {"truncateFile", truncateFile},
      {"statFile", statFile},
      {"readDirectory", readDirectory},
      {"statPath", statPath},
      {"accessPath", accessPath},
      {"makeDirectory", makeDirectory},
      {"renamePath", renamePath},
      {"removePath", removePath},
      {"removeTree", removeTree},
      {"readContent", readContent},
      {"copyContent", copyContent},
      {"linkFile", linkFile},
      {"syncFileSystem", syncFileSystem},
  };
  for (const auto& [name, function] : functions) exports.Set(name, Napi::Function::New(env, function, name));
}

}  // namespace vamos
