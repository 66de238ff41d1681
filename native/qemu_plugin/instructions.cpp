// A TCG plugin that counts the guest's instructions, the kernel's and the user's apart:
//
//   -plugin vamos_instructions.so,counters=FILE
//
// FILE holds a cache line for each vCPU: two native 64-bit counters, kernel and user, then padding. It is
// mapped, so whoever reads it while the guest runs sees the counts of that moment. A block counts whole when
// it begins, whatever an exception cuts short. On x86-64 the kernel is the upper half of the addresses.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "qemu_plugin/api.hpp"

int qemu_plugin_version = 1;

namespace {

struct alignas(64) Counters {
  std::uint64_t kernel;
  std::uint64_t user;
};
static_assert(sizeof(Counters) == 64);

struct Block {
  std::uint64_t address;
  std::uint64_t instructions;
  std::uint64_t runs;
};
constexpr std::size_t max_blocks = 8'000'000;

struct Blocks {
  std::atomic<std::uint64_t> count;
  std::uint64_t padding[2];
  Block list[max_blocks];
};
static_assert(offsetof(Blocks, list) == sizeof(Block) && std::atomic<std::uint64_t>::is_always_lock_free);

Counters* counters = nullptr;
Blocks* blocks = nullptr;

// Each vCPU runs in a thread of its own and has counters of its own: QEMU's cheaper inline additions know one
// place for all vCPUs, where additions made at the same time get lost.
void count_kernel(unsigned int vcpu, void* instructions) {
  counters[vcpu].kernel += reinterpret_cast<std::uintptr_t>(instructions);
}

void count_user(unsigned int vcpu, void* instructions) {
  counters[vcpu].user += reinterpret_cast<std::uintptr_t>(instructions);
}

// vCPUs that run the same block at the same time may lose some: a profile is of shares.
void count_block(unsigned int /*vcpu*/, void* block) { ++static_cast<Block*>(block)->runs; }

void instrument(qemu_plugin_id_t /*id*/, qemu_plugin_tb* translated) {
  const std::uint64_t address = qemu_plugin_tb_vaddr(translated);
  const std::size_t instructions = qemu_plugin_tb_n_insns(translated);
  const bool is_kernel = (address >> 63) != 0;
  qemu_plugin_register_vcpu_tb_exec_cb(translated, is_kernel ? count_kernel : count_user,
                                       QEMU_PLUGIN_CB_NO_REGS, reinterpret_cast<void*>(instructions));
  if (blocks == nullptr) return;
  // Several vCPUs translate simultaneously. A block that is translated again is listed again.
  const std::uint64_t index = blocks->count.fetch_add(1);
  if (index >= max_blocks) return;
  Block& block = blocks->list[index];
  block.address = address;
  block.instructions = instructions;
  qemu_plugin_register_vcpu_tb_exec_cb(translated, count_block, QEMU_PLUGIN_CB_NO_REGS, &block);
}

// A file of zeroes in memory; what nobody writes to takes no room.
template <typename Type>
bool map_file(const char* file, std::size_t bytes, Type** mapped) {
  const int descriptor = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) return false;
  void* address = MAP_FAILED;
  if (ftruncate(descriptor, static_cast<off_t>(bytes)) == 0) {
    address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  }
  const int error = errno;
  close(descriptor);
  errno = error;
  if (address == MAP_FAILED) return false;
  *mapped = static_cast<Type*>(address);
  return true;
}

bool take(std::string_view argument, std::size_t vcpus) {
  constexpr std::string_view counters_option = "counters=";
  constexpr std::string_view blocks_option = "blocks=";
  const char* file = argument.data() + argument.find('=') + 1;
  bool is_mapped = false;
  if (argument.starts_with(counters_option)) {
    is_mapped = map_file(file, vcpus * sizeof(Counters), &counters);
  } else if (argument.starts_with(blocks_option)) {
    is_mapped = map_file(file, sizeof(Blocks), &blocks);
  } else {
    std::fprintf(stderr, "vamos_instructions: %s: takes counters=FILE and blocks=FILE\n", argument.data());
    return false;
  }
  if (!is_mapped) std::fprintf(stderr, "vamos_instructions: %s: %s\n", file, std::strerror(errno));
  return is_mapped;
}

}  // namespace

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc, char** argv) {
  if (!info->system_emulation || std::strcmp(info->target_name, "x86_64") != 0) {
    std::fputs("vamos_instructions: counts in x86-64 machines only\n", stderr);
    return 1;
  }
  for (int index = 0; index < argc; ++index) {
    if (!take(argv[index], static_cast<std::size_t>(info->system.max_vcpus))) return 1;
  }
  if (counters == nullptr) {
    std::fputs("vamos_instructions: counters=FILE is missing\n", stderr);
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, instrument);
  return 0;
}
