// How float32 products may be computed where bfloat16 units are faster; see tinydl.set_float32_matmul_precision.
#pragma once

namespace tinydl {

// The products of three bfloat16 planes that are summed: six (as accurate as float32), three, one.
enum class Float32Precision { highest, high, medium };

Float32Precision float32_precision();
const char* float32_precision_name();
void set_float32_precision(const char* name);

}  // namespace tinydl
