// Forward's products with fused multiply-adds.
#pragma once
#include "cpu/attention/few_rows.h"

namespace tinydl::TINYDL_TIER {

// Which blocks of keys lie packed with a worker: those of one head, as far as its queries have seen them, where a head
// has several blocks of queries; else one block at a time.
struct PackedHead {
  bool keeps;
  int64_t head = -1, blocks = 0;

  explicit PackedHead(const AttentionShape& s) : keeps(s.queries > kBlock) {}
  static int64_t capacity(const AttentionShape& s) { return s.queries > kBlock ? div_up(s.keys, kBlock) : 1; }
  int64_t place(const ScoreBlock& block) const { return keeps ? block.key / kBlock : 0; }

  // Whether the block is still to be packed.
  bool add(int64_t number, const ScoreBlock& block) {
    if (!keeps) return true;
    if (number != head) blocks = 0;
    head = number;
    if (block.key < blocks * kBlock) return false;
    ++blocks;
    return true;
  }
};

template <class T>
struct FmaProducts {
  // A worker's memory, by its parts.
  struct Memory {
    int64_t q, k, v, k_block, v_block, total;
    explicit Memory(const AttentionShape& s) {
      const int64_t keys = padded<T>(smaller(kBlock, s.keys)), blocks = PackedHead::capacity(s);
      k_block = keys * padded<T>(s.features);
      v_block = keys * padded<T>(s.values);
      q = 0;
      k = q + smaller(kBlock, s.queries) * padded<T>(s.features);
      v = k + blocks * k_block;
      total = v + blocks * v_block;
    }
  };

  const AttentionShape& shape;
  const AttentionInput<T>& in;
  const Memory& at;
  T* memory;
  PackedHead packed;

  FmaProducts(const AttentionShape& shape, const AttentionInput<T>& in, const Memory& at, T* memory)
      : shape(shape), in(in), at(at), memory(memory), packed(shape) {}

  void set_queries(const ScoreBlock& block) {
    stage_rows(row_of(in.q, block.batch, block.head, block.query), in.q.row_stride, block.rows, shape.features,
               static_cast<T>(shape.scale), memory + at.q);
  }

  // scores = scale Q K^T
  void score(const ScoreBlock& block, T* scores) {
    const int64_t pitch = padded<T>(shape.features);
    if (is_few()) {
      for (int64_t i = 0; i < block.rows; ++i)
        dot_products(memory + at.q + i * pitch, keys_of(block), in.k.row_stride, block.keys, shape.features,
                     scores + i * kScorePitch<T>);
      return;
    }
    T *k = memory + at.k + packed.place(block) * at.k_block, *v = memory + at.v + packed.place(block) * at.v_block;
    if (packed.add(block.batch * shape.kv_heads + block.kv_head(shape), block)) {
      pack_as_columns(keys_of(block), in.k.row_stride, block.keys, shape.features, k);
      pack_as_rows(values_of(block), in.v.row_stride, block.keys, shape.values, v);
    }
    const BlockProduct<T> product{
        memory + at.q, pitch, 1, k, shape.features, scores, kScorePitch<T>, block.rows, padded<T>(block.keys), false};
    product.run(
        [&](int64_t i, int64_t count) { return Part{0, shape.features, padded<T>(block.visible(i + count - 1))}; });
  }

  // out (+)= P V
  void add_values(const ScoreBlock& block, const T* p, T* out) const {
    const bool few = is_few();
    const T* v = few ? values_of(block) : memory + at.v + packed.place(block) * at.v_block;
    const BlockProduct<T> product{p,
                                  kScorePitch<T>,
                                  1,
                                  v,
                                  block.keys,
                                  out,
                                  padded<T>(shape.values),
                                  block.rows,
                                  shape.values,
                                  block.key > 0,
                                  in.v.row_stride,
                                  few};
    product.run([&](int64_t i, int64_t count) { return Part{0, block.visible(i + count - 1), shape.values}; });
  }

 private:
  bool is_few() const { return shape.queries <= kFewRows; }
  const T* keys_of(const ScoreBlock& block) const { return row_of(in.k, block.batch, block.kv_head(shape), block.key); }
  const T* values_of(const ScoreBlock& block) const {
    return row_of(in.v, block.batch, block.kv_head(shape), block.key);
  }
};

}  // namespace tinydl::TINYDL_TIER
