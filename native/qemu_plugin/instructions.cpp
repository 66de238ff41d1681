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

Counters* counters = nullptr;

// Each vCPU runs in a thread of its own and has counters of its own: QEMU's cheaper inline additions know one
// place for all vCPUs, where additions made at the same time get lost.
void count_kernel(unsigned int vcpu, void* instructions) {
  counters[vcpu].kernel += reinterpret_cast<std::uintptr_t>(instructions);
}

void count_user(unsigned int vcpu, void* instructions) {
  counters[vcpu].user += reinterpret_cast<std::uintptr_t>(instructions);
}

void instrument(qemu_plugin_id_t /*id*/, qemu_plugin_tb* block) {
  const bool is_kernel = (qemu_plugin_tb_vaddr(block) >> 63) != 0;
  auto* instructions = reinterpret_cast<void*>(qemu_plugin_tb_n_insns(block));
  qemu_plugin_register_vcpu_tb_exec_cb(block, is_kernel ? count_kernel : count_user, QEMU_PLUGIN_CB_NO_REGS,
                                       instructions);
}

bool map_counters(const char* file, std::size_t vcpus) {
  const int descriptor = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) return false;
  const std::size_t bytes = vcpus * sizeof(Counters);
  void* mapped = MAP_FAILED;
  if (ftruncate(descriptor, static_cast<off_t>(bytes)) == 0) {
    mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  }
  const int error = errno;
  close(descriptor);
  errno = error;
  if (mapped == MAP_FAILED) return false;
  counters = static_cast<Counters*>(mapped);
  return true;
}

}  // namespace

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc, char** argv) {
  constexpr std::string_view option = "counters=";
  if (argc != 1 || std::strncmp(argv[0], option.data(), option.size()) != 0) {
    std::fputs("vamos_instructions: takes counters=FILE\n", stderr);
    return 1;
  }
  if (!info->system_emulation || std::strcmp(info->target_name, "x86_64") != 0) {
    std::fputs("vamos_instructions: counts in x86-64 machines only\n", stderr);
    return 1;
  }
  const char* file = argv[0] + option.size();
  if (!map_counters(file, static_cast<std::size_t>(info->system.max_vcpus))) {
    std::fprintf(stderr, "vamos_instructions: %s: %s\n", file, std::strerror(errno));
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, instrument);
  return 0;
}
