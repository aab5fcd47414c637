#include "cpu/runtime/dispatch.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "core/check.h"

namespace tinydl {

namespace {

constexpr const char* kNames[] = {"portable", "avx2", "avx512"};

// GCC's builtin checks CPUID and, through XGETBV, that the operating system saves the registers.
bool supported(Tier tier) {
#if defined(__x86_64__)
  if (tier == Tier::avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
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
  for (int tier = 0; tier < 3; ++tier)
    if (std::strcmp(name, kNames[tier]) == 0) return static_cast<Tier>(tier);
  fail(source, " is '", name, "'; it must be portable, avx2 or avx512");
}

std::atomic<Tier>& current() {
  static std::atomic<Tier> tier{detected_tier()};
  return tier;
}

}  // namespace

const char* tier_name(Tier tier) { return kNames[static_cast<int>(tier)]; }

Tier detected_tier() {
  const char* cap = std::getenv("TINYDL_ISA");
  return best_up_to(cap && *cap ? parse(cap, "TINYDL_ISA") : Tier::avx512);
}

Tier active_tier() { return current().load(std::memory_order_relaxed); }

void set_active_tier(const char* name) {
  const Tier tier = parse(name, "the instruction set");
  check(supported(tier), "this machine has no ", name);
  current().store(tier, std::memory_order_relaxed);
}

}  // namespace tinydl
