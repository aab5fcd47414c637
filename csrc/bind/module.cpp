// The extension module tinydl._cpu. Docstrings live in Python only.
#include "bind/arrays.h"
#include "bind/families.h"
#include "cpu/runtime/allocator.h"
#include "cpu/runtime/dispatch.h"
#include "cpu/runtime/parallel.h"
#include "cpu/runtime/precision.h"
#include "cpu/runtime/trace.h"

namespace tinydl {

namespace {

py::dict memory_stats_dict() {
  const MemoryStats stats = memory_stats();
  py::dict out;
  out["allocated"] = stats.allocated;
  out["cached"] = stats.cached;
  out["peak"] = stats.peak;
  out["system_blocks"] = stats.system_blocks;
  out["cache_limit"] = stats.cache_limit < 0 ? py::object(py::none()) : py::int_(stats.cache_limit);
  return out;
}

void bind_runtime(py::module_& m) {
  m.def("isa", [] { return tier_name(active_tier()); });
  m.def("detected_isa", [] { return tier_name(detected_tier()); });
  m.def("set_isa", &set_active_tier, py::arg("name"));
  m.def("float32_matmul_precision", &float32_precision_name);
  m.def("set_float32_matmul_precision", &set_float32_precision, py::arg("precision"));
  m.def("tile_threshold", [] { return py::make_tuple(tile_threshold().side, tile_threshold().work); });
  m.def("set_tile_threshold", &set_tile_threshold, py::arg("side"), py::arg("work"));
  m.def("start_trace", &start_trace);
  m.def("stop_trace", &stop_trace);
  m.def("num_threads", &num_threads);
  m.def("set_num_threads", &set_num_threads, py::arg("threads"));
  m.def("memory_stats", &memory_stats_dict);
  m.def("reset_peak_memory", &reset_peak_memory);
  m.def("empty_cache", &empty_cache);
  m.def("set_cache_limit", &set_cache_limit, py::arg("bytes"));
}

}  // namespace

PYBIND11_MODULE(_cpu, m, py::mod_gil_not_used()) {
  py::register_exception_translator(&translate_type_error);
  num_threads();    // reads TINYDL_NUM_THREADS now, so that a bad value fails the import with its message
  detected_tier();  // likewise TINYDL_ISA
  bind_runtime(m);
  bind_elementwise(m);
  bind_dlpack(m);
  bind_conv(m);
  bind_matmul(m);
  bind_reduce(m);
  bind_resample(m);
  bind_random(m);
  bind_optimizer(m);
  bind_softmax(m);
  bind_limits(m);
  bind_loss(m);
  bind_pool(m);
  bind_index(m);
  bind_embedding(m);
  bind_recurrent(m);
  bind_attention(m);
  bind_norm(m);
}

}  // namespace tinydl
