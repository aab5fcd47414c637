// Tensor cores: D = A B + D on tiles that the 32 lanes of a warp hold together (mma.sync and ldmatrix, from compute
// capability 8.0 on), and a scalar twin with the same layout of fragments for the emulation.
//
// With g = lane / 4 and t = lane % 4, a register of two 16-bit elements holds neighbours, the first in its lower half:
//
//   A (16 x 16, rows)      r[0] = A[g][2t..]    r[1] = A[g + 8][2t..]    r[2] = A[g][2t + 8..]    r[3] = A[g + 8][2t
//   + 8..] B (16 x 8, columns)    r[0] = B[2t..][g]    r[1] = B[2t + 8..][g] D (16 x 8, float32)    v[0..1] =
//   D[g][2t..]    v[2..3] = D[g + 8][2t..]
//
// Source: NVIDIA, Parallel Thread Execution ISA, "Matrix fragments for mma.m16n8k16".
#pragma once
#include <cstdint>

#include "core/half.h"
#include "cuda/device/reduce.h"
#include "cuda/runtime/device.h"

namespace tinydl::cuda {

constexpr int kMmaM = 16, kMmaN = 8, kMmaK = 16;

struct FragmentA {
  uint32_t r[4];
};
struct FragmentB {
  uint32_t r[2];
};
struct FragmentD {
  float v[4];
};

#ifndef __CUDACC__
// Element i (0 or 1) of a register of two.
template <class T>
float half_of(uint32_t pair, int i) {
  T value;
  value.bits = static_cast<uint16_t>(pair >> 16 * i);
  return static_cast<float>(value);
}
#endif

// D += A B; T is Bfloat16 or Float16. All lanes of the warp take part.
template <class T>
__device__ __forceinline__ void multiply_add(FragmentD& d, const FragmentA& a, const FragmentB& b) {
#ifdef __CUDACC__
  if constexpr (std::is_same_v<T, Bfloat16>)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d.v[0]), "+f"(d.v[1]), "+f"(d.v[2]), "+f"(d.v[3])
        : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b.r[0]), "r"(b.r[1]));
  else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d.v[0]), "+f"(d.v[1]), "+f"(d.v[2]), "+f"(d.v[3])
        : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b.r[0]), "r"(b.r[1]));
#else
  struct Operands {
    FragmentA a;
    FragmentB b;
  };
  const Operands own{a, b};
  const emulation::Slots* all = emulation::exchange(kAllLanes, &own, sizeof own);
  const int lane = emulation::this_thread().lane, group = lane / 4, pair = lane % 4;
  float rows[2][kMmaK], columns[2][kMmaK];  // those of A and B that this lane's elements of D take
  for (int holder = 0; holder < 4; ++holder) {
    // A lane holds elements 2 holder, 2 holder + 1 of each half of k.
    const auto of_a = all->template read<Operands>(group * 4 + holder).a;
    for (int e = 0; e < 8; ++e) rows[e / 2 % 2][e / 4 * 8 + 2 * holder + e % 2] = half_of<T>(of_a.r[e / 2], e % 2);
    for (int column = 0; column < 2; ++column) {
      const auto of_b = all->template read<Operands>((2 * pair + column) * 4 + holder).b;
      for (int e = 0; e < 4; ++e) columns[column][e / 2 * 8 + 2 * holder + e % 2] = half_of<T>(of_b.r[e / 2], e % 2);
    }
  }
  for (int i = 0; i < 4; ++i)
    for (int k = 0; k < kMmaK; ++k) d.v[i] += rows[i / 2][k] * columns[i % 2][k];
#endif
}

// Reads four 8 x 8 matrices of 16-bit elements from shared memory: lane 8 i + r gives the address of row r of matrix i,
// 16 bytes aligned to 16. Register i of a lane gets elements [g][2t] and [g][2t + 1] of matrix i; transposed, [2t][g]
// and [2t + 1][g].
template <bool transposed>
__device__ __forceinline__ void load_matrices(uint32_t (&to)[4], const void* row) {
#ifdef __CUDACC__
  const auto shared = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared)
                 : "memory");
#else
  const emulation::Slots* rows = emulation::exchange(kAllLanes, &row, sizeof row);
  const int lane = emulation::this_thread().lane, group = lane / 4, pair = lane % 4;
  for (int i = 0; i < 4; ++i) {
    const auto element = [&](int r, int c) {
      return uint32_t(static_cast<const uint16_t*>(rows->read<const void*>(8 * i + r))[c]);
    };
    to[i] = transposed ? element(2 * pair, group) | element(2 * pair + 1, group) << 16
                       : element(group, 2 * pair) | element(group, 2 * pair + 1) << 16;
  }
  // A GPU has read when the instruction returns; here a lane may go on to write.
  emulation::exchange(kAllLanes, nullptr, 0);
#endif
}

}  // namespace tinydl::cuda
