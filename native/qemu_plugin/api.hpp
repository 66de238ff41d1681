// The part of QEMU's plugin interface that the counter uses, declared after its documentation
// (docs/devel/tcg-plugins and include/qemu/qemu-plugin.h of QEMU 7.2, interface version 1): Debian ships no
// header of it. The functions are in the QEMU that loads the plugin.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

// What the plugin was built for; QEMU refuses one that it no longer supports. From version 2 on (QEMU 9) the
// layout of qemu_info_t is the same.
__attribute__((visibility("default"))) extern int qemu_plugin_version;

using qemu_plugin_id_t = std::uint64_t;

struct qemu_info_t {
  const char* target_name;
  struct {
    int min;
    int cur;
  } version;
  bool system_emulation;
  struct {
    int smp_vcpus;
    int max_vcpus;
  } system;
};

struct qemu_plugin_tb;

enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_CB_R_REGS, QEMU_PLUGIN_CB_RW_REGS };

using qemu_plugin_vcpu_tb_trans_cb_t = void (*)(qemu_plugin_id_t, qemu_plugin_tb*);
using qemu_plugin_vcpu_udata_cb_t = void (*)(unsigned int vcpu_index, void* userdata);

// Called with each block of instructions when it is translated.
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, qemu_plugin_vcpu_tb_trans_cb_t callback);
// Called each time the block runs.
void qemu_plugin_register_vcpu_tb_exec_cb(qemu_plugin_tb* block, qemu_plugin_vcpu_udata_cb_t callback,
                                          qemu_plugin_cb_flags flags, void* userdata);
std::size_t qemu_plugin_tb_n_insns(const qemu_plugin_tb* block);
std::uint64_t qemu_plugin_tb_vaddr(const qemu_plugin_tb* block);

// Called when QEMU loads the plugin; 0 is success.
__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info,
                                                               int argc, char** argv);
}
