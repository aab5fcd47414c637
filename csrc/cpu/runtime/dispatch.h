// Instruction-set tiers and the choice between the copies of a kernel that they were compiled to.
//
// Every csrc/cpu/<family>/kernels.cpp is compiled once per tier, inside namespace tinydl::<tier>, and defines a
// constant table of function pointers there. TINYDL_KERNELS, in the family's contract header, declares the
// tables and the accessor that returns the active tier's. The tier amx is avx512 with matrix tiles, which only products
// have a use for: families of products say TINYDL_PRODUCT_KERNELS, and the other families' tables are avx512's.
#pragma once

namespace tinydl {

enum class Tier { portable, avx2, avx512, amx };

const char* tier_name(Tier tier);

// The best tier that this machine and TINYDL_ISA allow.
Tier detected_tier();

// The tier in use: at first the detected one. set_active_tier rejects tiers that the machine lacks.
Tier active_tier();
void set_active_tier(const char* name);

// A table for each element type.
template <template <class> class Kernels>
struct ByType {
  Kernels<float> f32;
  Kernels<double> f64;
};

template <template <class> class Kernels>
const Kernels<float>& pick(const ByType<Kernels>& tables, float) {
  return tables.f32;
}
template <template <class> class Kernels>
const Kernels<double>& pick(const ByType<Kernels>& tables, double) {
  return tables.f64;
}

}  // namespace tinydl

#if defined(__x86_64__)
#define TINYDL_TABLE(Kernels, tier, family)    \
  namespace tier {                             \
  extern const ByType<Kernels> family##_table; \
  }
#define TINYDL_TABLES(Kernels, family, best)                                                       \
  TINYDL_TABLE(Kernels, portable, family)                                                          \
  TINYDL_TABLE(Kernels, avx2, family)                                                              \
  TINYDL_TABLE(Kernels, avx512, family)                                                            \
  TINYDL_TABLE(Kernels, best, family)                                                              \
  template <class T>                                                                               \
  const Kernels<T>& family##_kernels() {                                                           \
    constexpr const ByType<Kernels>* tables[] = {&portable::family##_table, &avx2::family##_table, \
                                                 &avx512::family##_table, &best::family##_table};  \
    return pick(*tables[static_cast<int>(active_tier())], T());                                    \
  }
#define TINYDL_KERNELS(Kernels, family) TINYDL_TABLES(Kernels, family, avx512)
#define TINYDL_PRODUCT_KERNELS(Kernels, family) TINYDL_TABLES(Kernels, family, amx)
#else
#define TINYDL_KERNELS(Kernels, family)         \
  namespace portable {                          \
  extern const ByType<Kernels> family##_table;  \
  }                                             \
  template <class T>                            \
  const Kernels<T>& family##_kernels() {        \
    return pick(portable::family##_table, T()); \
  }
#define TINYDL_PRODUCT_KERNELS TINYDL_KERNELS
#endif
