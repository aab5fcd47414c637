#include "contract/embedding.h"

#include "cpu/index/rows.h"

namespace tinydl::TINYDL_TIER {

namespace {

template <class T>
void embedding(int64_t count, int64_t width, const T* w, const int64_t* index, T* y) {
  if (count == 0 || width == 0) return;
  const int64_t stretch = larger(1, kCopyElements / width);
  parallel_for(div_up(count, stretch), count * width, [=](int64_t begin, int64_t end, int) {
    const int64_t first = begin * stretch, last = smaller(end * stretch, count);
    take_rows(last - first, width, w, index + first, y + first * width);
  });
}

template <class T>
void embedding_backward(int64_t rows, int64_t count, int64_t width, const T* dy, const int64_t* index, int64_t padding,
                        bool by_frequency, T* dw) {
  const auto scale = [=](int64_t j, const int64_t* start) {
    const int64_t uses = start[j + 1] - start[j];
    return by_frequency && uses > 0 ? T(1) / static_cast<T>(uses) : T(1);
  };
  add_rows(1, rows, count, width, dy, index, scale, dw);
  if (padding >= 0)
    for (int64_t i = 0; i < width; ++i) dw[padding * width + i] = T(0);
}

template <class T>
constexpr EmbeddingKernels<T> kernels = {embedding<T>, embedding_backward<T>};

}  // namespace

extern const ByType<EmbeddingKernels> embedding_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
