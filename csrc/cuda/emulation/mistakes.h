// Kernels with a mistake each, which the emulation must not let pass; tests/cuda runs them.
#pragma once
#include <string>
#include <vector>

namespace tinydl::emulation {

// Runs a kernel on one block of 64 threads, each of which writes an element; the right result is 64 - i. With `mended`
// it has no mistake. Throws std::invalid_argument for a name that is not one of `mistakes`.
std::vector<float> run_mistake(const std::string& name, bool mended);

std::vector<std::string> mistakes();

}  // namespace tinydl::emulation
