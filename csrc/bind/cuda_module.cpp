// The extension module of the CUDA kernels: tinydl._cuda, or, compiled for the emulation, tinydl._cuda_emulated.
#include <pybind11/stl.h>

#include <utility>
#include <vector>

#include "bind/arrays.h"
#include "bind/families.h"
#include "cuda/runtime/replay.h"
#include "cuda/runtime/report.h"

#ifdef TINYDL_CUDA_EMULATE
#include "cuda/emulation/execution.h"
#include "cuda/emulation/mistakes.h"
#endif

namespace tinydl {

namespace {

// Lets this thread's launches add the array's only element, a uint64, to their offsets of random numbers; None ends it.
// The caller keeps the array alive as long as a graph of these launches is.
void set_offset_of_replay(const py::object& array) {
  cuda::offset_of_replay() = nullptr;
  if (array.is_none()) return;
  const auto a = py::cast<Array>(array);
  check(a.size() == 1 && type_number(a) == py::dtype::of<uint64_t>().num(), "set_offset_of_replay: wanted one uint64");
  cuda::offset_of_replay() = static_cast<const uint64_t*>(a.data());
}

// Lets this thread's optimiser steps read their numbers from the array's slots, of 128 bytes each, or with `fills`
// write them there and step nothing; None ends it. Returns a key for each slot that was taken since the last call,
// which tells apart what its step works on.
std::vector<uint64_t> set_slots_of_replay(const py::object& array, bool fills) {
  const std::vector<uint64_t> keys = std::move(cuda::slots_of_replay().keys);
  cuda::slots_of_replay() = {};
  if (array.is_none()) return keys;
  auto a = py::cast<Array>(array);
  check(a.ndim() == 2 && a.shape(1) == int64_t(sizeof(cuda::Slot)) && type_number(a) == py::dtype::of<uint8_t>().num(),
        "set_slots_of_replay: wanted an array of uint8 with the shape (slots, ", sizeof(cuda::Slot), ")");
  cuda::slots_of_replay() = {static_cast<cuda::Slot*>(a.mutable_data()), static_cast<size_t>(a.shape(0)), fills, {}};
  return keys;
}

#ifdef TINYDL_CUDA_EMULATE
void set_schedule(const std::string& name, uint64_t seed) {
  using emulation::Schedule;
  if (name == "forward") return emulation::set_schedule(Schedule::forward, seed);
  if (name == "backward") return emulation::set_schedule(Schedule::backward, seed);
  if (name == "shuffled") return emulation::set_schedule(Schedule::shuffled, seed);
  check(name == "varied", "set_schedule: got '", name, "', wanted 'forward', 'backward', 'shuffled' or 'varied'");
  emulation::set_schedule(Schedule::varied, seed);
}
#endif

}  // namespace

// No py::mod_gil_not_used(): calls rely on the interpreter's lock, which they hold throughout (bind/device_array.cpp's
// record of scratch memory, the emulation's state).
PYBIND11_MODULE(TINYDL_MODULE, m) {
  py::register_exception_translator(&translate_type_error);
#ifdef TINYDL_CUDA_EMULATE
  m.def("set_schedule", &set_schedule, py::arg("name"), py::arg("seed") = 0);
  m.def("set_shared_bytes_of_a_block", &emulation::set_shared_bytes_of_a_block, py::arg("bytes"));
  m.def("launches_by_offset", &emulation::launches_by_offset);
  m.def("mistakes", &emulation::mistakes);
  m.def("run_mistake", &emulation::run_mistake, py::arg("name"), py::arg("mended"));
#endif
  bind_array_source(m);
  m.def("raise_reported", &cuda::raise_reported);
  m.def("set_offset_of_replay", &set_offset_of_replay, py::arg("array"));
  m.def("set_slots_of_replay", &set_slots_of_replay, py::arg("array"), py::arg("fills") = false);
  m.attr("architectures") = TINYDL_CUDA_ARCHITECTURES;  // those that the kernels were compiled for, as CMake names them
#include "cuda_families.inc"  // bind_elementwise(m); and so on, for every csrc/cuda/<family>.cu
}

}  // namespace tinydl
