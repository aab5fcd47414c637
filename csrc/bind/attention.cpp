#include "contract/attention.h"

#include "bind/arrays.h"
#include "bind/families.h"

namespace tinydl {

namespace {

// The array itself where its last axis lies side by side, else a copy where it does.
Array with_adjacent_features(const char* op, const Array& a) {
  const Layout layout = layout_of(op, a);
  if (layout.stride[3] == 1 || layout.shape[3] <= 1) return a;
  return copy_as(op, a, axis_innermost(layout, 3));
}

// A fresh array of the shape, whose axes lie in memory as those of `like` do, but the last innermost.
Array fresh_like(const Layout& like, int64_t heads, int64_t rows, int64_t features, const py::dtype& dtype) {
  Layout layout = like;
  layout.shape[1] = heads;
  layout.shape[2] = rows;
  layout.shape[3] = features;
  return empty(axis_innermost(layout, 3), dtype);
}

template <class T>
Heads<const T> heads_of(const Array& a) {
  const Layout layout = layout_of("attention", a);
  return {data_of<T>(a), layout.stride[0], layout.stride[1], layout.stride[2]};
}
template <class T>
Heads<T> mutable_heads_of(Array& a) {
  if (!a) return {nullptr, 0, 0, 0};
  const Layout layout = layout_of("attention", a);
  return {mutable_data_of<T>(a), layout.stride[0], layout.stride[1], layout.stride[2]};
}

// Query, key, value and mask, checked, with adjacent features.
struct AttentionOperands {
  const char* op;
  Array q = no_array(), k = no_array(), v = no_array(), mask = no_array();
  Layout scores;  // (B, H, L, S)
  AttentionShape shape;
  AttentionDropout dropout;

  AttentionOperands(const char* op, const Array& query, const Array& key, const Array& value,
                    const py::object& attn_mask, double scale, bool causal, const AttentionDropout& dropout)
      : op(op), dropout(dropout) {
    require_same_dtype(op, query, key);
    require_same_dtype(op, query, value);
    check(dropout.p >= 0 && dropout.p <= 1, op, ": got dropout p = ", dropout.p, ", wanted a probability from 0 to 1");
    const Layout a = layout_of(op, query), b = layout_of(op, key), c = layout_of(op, value);
    check(a.ndim == 4 && b.ndim == 4 && c.ndim == 4, op, ": got shapes ", a, ", ", b, " and ", c,
          ", wanted (batch, heads, length, features) of each");
    check(a.shape[0] == b.shape[0] && a.shape[3] == b.shape[3], op, ": got a query of shape ", a,
          " and a key of shape ", b, ", wanted equal batch and features");
    check(b.shape[0] == c.shape[0] && b.shape[1] == c.shape[1] && b.shape[2] == c.shape[2], op, ": got a key of shape ",
          b, " and a value of shape ", c, ", wanted equal batch, heads and length");
    check(b.shape[1] > 0 ? a.shape[1] % b.shape[1] == 0 : a.shape[1] == 0, op, ": got ", a.shape[1],
          " heads of queries and ", b.shape[1], " of keys, wanted a multiple");
    shape = {a.shape[0], a.shape[1], b.shape[1], a.shape[2], b.shape[2], a.shape[3], c.shape[3], scale, causal};
    scores = a;
    scores.shape[3] = shape.keys;
    scores = row_major(scores);
    q = with_adjacent_features(op, query);
    k = with_adjacent_features(op, key);
    v = with_adjacent_features(op, value);
    set_mask(attn_mask);
  }

  template <class T>
  AttentionInput<T> input() const {
    return {heads_of<T>(q), heads_of<T>(k), heads_of<T>(v), mask_of<T>(), dropout};
  }

  // (B, H, L) row-major.
  Layout rows() const {
    Layout layout = scores;
    layout.ndim = 3;
    return row_major(layout);
  }

 private:
  void set_mask(const py::object& value) {
    mask = no_array();
    if (value.is_none()) return;
    const Array array = Array::ensure(value);
    if (!array || (type_number(array) != py::detail::npy_api::NPY_BOOL_ && type_number(array) != q.dtype().num()))
      throw TypeError(text(op, ": got a mask of ", array ? py::str(array.dtype()).cast<std::string>() : "no array",
                           ", wanted bool or ", py::str(q.dtype()).cast<std::string>()));
    const Layout got = layout_of(op, array);
    Layout common;
    check(got.ndim <= 4 && broadcast_shapes(got, scores, common) && same_shape(common, scores), op,
          ": got a mask of shape ", got, ", wanted one that broadcasts to ", scores);
    const int last = got.ndim - 1;
    const bool walkable = got.ndim == 0 || got.shape[last] <= 1 || got.stride[last] == 1 || got.stride[last] == 0;
    mask = walkable ? array : copy_as(op, array, axis_innermost(got, last));
  }

  template <class T>
  AttentionMask<T> mask_of() const {
    AttentionMask<T> out{nullptr, nullptr, {0, 0, 0, 0}};
    if (!mask) return out;
    const Layout layout = broadcast_to(layout_of(op, mask), scores);
    for (int i = 0; i < 4; ++i) out.stride[i] = layout.stride[i];
    // One column broadcasts over the keys; with one key, its stride is not used.
    if (shape.keys <= 1) out.stride[3] = 0;
    if (type_number(mask) == py::detail::npy_api::NPY_BOOL_)
      out.allowed = data_of<bool>(mask);
    else
      out.added = data_of<T>(mask);
    return out;
  }
};

// (o, lse): attention, and the logarithm of each row's sum of exponentials, which backward wants; in float32 where the
// query is narrower.
py::tuple attention(const Array& query, const Array& key, const Array& value, const py::object& mask, double scale,
                    bool causal, double p, uint64_t seed, uint64_t offset) {
  constexpr const char* op = "attention";
  return by_float_type(op, query, [&](auto type) {
    using T = decltype(type);
    const AttentionOperands in(op, query, key, value, mask, scale, causal, {p, seed, offset});
    Array o = fresh_like(layout_of(op, query), in.shape.heads, in.shape.queries, in.shape.values, query.dtype());
    Array lse = empty(in.rows(), py::dtype::of<Wide<T>>());
    const AttentionInput<T> input = in.input<T>();
    const Heads<T> to = mutable_heads_of<T>(o);
    Wide<T>* sums = mutable_data_of<Wide<T>>(lse);
    {
      Unlocked unlocked;
      attention_kernels<T>().forward(in.shape, input, to, sums);
    }
    return py::make_tuple(o, lse);
  });
}

// (dq, dk, dv), None for what is not wanted.
py::tuple attention_backward(const Array& grad, const Array& query, const Array& key, const Array& value,
                             const py::object& mask, const Array& o, const Array& lse, double scale, bool causal,
                             double p, uint64_t seed, uint64_t offset, bool want_dq, bool want_dk, bool want_dv) {
  constexpr const char* op = "attention_backward";
  return by_float_type(op, query, [&](auto type) {
    using T = decltype(type);
    const AttentionOperands in(op, query, key, value, mask, scale, causal, {p, seed, offset});
    for (const Array& other : {grad, o}) require_same_dtype(op, query, other);
    require_dtype(op, py::dtype::of<Wide<T>>(), lse);
    const AttentionShape& s = in.shape;
    Layout wanted = in.scores;
    wanted.shape[3] = s.values;
    for (const Array& other : {grad, o}) {
      const Layout got = layout_of(op, other);
      check(same_shape(got, wanted), op, ": got a gradient or output of shape ", got, ", wanted ", wanted);
    }
    const Layout rows = layout_of(op, lse);
    check(same_shape(rows, in.rows()), op, ": got lse of shape ", rows, ", wanted ", in.rows());
    const Array upstream = with_adjacent_features(op, grad), out = with_adjacent_features(op, o);
    const Array sums = as_row_major(op, lse);
    Array dq = want_dq ? fresh_like(layout_of(op, query), s.heads, s.queries, s.features, query.dtype()) : no_array();
    Array dk = want_dk ? fresh_like(layout_of(op, key), s.kv_heads, s.keys, s.features, query.dtype()) : no_array();
    Array dv = want_dv ? fresh_like(layout_of(op, value), s.kv_heads, s.keys, s.values, query.dtype()) : no_array();
    const AttentionInput<T> input = in.input<T>();
    const Heads<const T> from = heads_of<T>(out), d_o = heads_of<T>(upstream);
    const Heads<T> to_q = mutable_heads_of<T>(dq), to_k = mutable_heads_of<T>(dk), to_v = mutable_heads_of<T>(dv);
    {
      Unlocked unlocked;
      attention_kernels<T>().backward(s, input, from, data_of<Wide<T>>(sums), d_o, to_q, to_k, to_v);
    }
    return py::make_tuple(or_none(dq), or_none(dk), or_none(dv));
  });
}

}  // namespace

void bind_attention(py::module_& m) {
  m.def("attention", &attention, py::arg("query"), py::arg("key"), py::arg("value"), py::arg("mask"), py::arg("scale"),
        py::arg("causal") = false, py::arg("p") = 0.0, py::arg("seed") = 0, py::arg("offset") = 0);
  m.def("attention_backward", &attention_backward, py::arg("grad"), py::arg("query"), py::arg("key"), py::arg("value"),
        py::arg("mask"), py::arg("o"), py::arg("lse"), py::arg("scale"), py::arg("causal") = false, py::arg("p") = 0.0,
        py::arg("seed") = 0, py::arg("offset") = 0, py::arg("want_dq") = true, py::arg("want_dk") = true,
        py::arg("want_dv") = true);
}

}  // namespace tinydl
