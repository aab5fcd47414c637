#include "cpu/runtime/dispatch.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "core/check.h"

namespace tinydl {

namespace {

constexpr const char* kNames[] = {"portable", "avx2", "avx512", "amx"};

#if defined(__x86_64__)
// Tiles of bfloat16 products. Linux hands out their registers on request, once for the process (arch_prctl's
// ARCH_REQ_XCOMP_PERM for XTILEDATA); a kernel that refuses, or knows no such request, leaves us without.
bool tiles_granted() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned kTiles = 1u << 24, kTileBfloat16 = 1u << 22;
  if ((d & kTiles) == 0 || (d & kTileBfloat16) == 0) return false;
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

// GCC's builtin checks CPUID and, through XGETBV, that the operating system saves the registers.
bool supported(Tier tier) {
#if defined(__x86_64__)
  if (tier == Tier::avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (tier == Tier::amx) {
    static const bool granted = supported(Tier::avx512) && __builtin_cpu_supports("avx512bf16") && tiles_granted();
    return granted;
  }
  if (tier == Tier::avx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
#endif
  return tier == Tier::portable;
}

Tier best_up_to(Tier cap) {
  for (int tier = static_cast<int>(cap); tier > 0; --tier)
    if (supported(static_cast<Tier>(tier))) return static_cast<Tier>(tier);
  return Tier::portable;
}

Tier parse(const char* name, const char* source) {
  for (int tier = 0; tier < 4; ++tier)
    if (std::strcmp(name, kNames[tier]) == 0) return static_cast<Tier>(tier);
  fail(source, " is '", name, "'; it must be portable, avx2, avx512 or amx");
}

const char* wanted_name() {
  const char* name = std::getenv("TINYDL_ISA");
  return name && *name ? name : nullptr;
}

std::atomic<Tier>& current() {
  static std::atomic<Tier> tier{detected_tier()};
  return tier;
}

}  // namespace

const char* tier_name(Tier tier) { return kNames[static_cast<int>(tier)]; }

Tier detected_tier() {
  const char* cap = wanted_name();
  return best_up_to(cap ? parse(cap, "TINYDL_ISA") : Tier::amx);
}

Tier active_tier() { return current().load(std::memory_order_relaxed); }

void set_active_tier(const char* name) {
  const Tier tier = parse(name, "the instruction set");
  check(supported(tier), "this machine has no ", name);
  current().store(tier, std::memory_order_relaxed);
}

}  // namespace tinydl
