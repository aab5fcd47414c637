// Rows of a table by indices, and the gradient of the table: see cuda/index/rows.h.
#include "contract/embedding.h"

#include "cuda/index/rows.h"

namespace tinydl::cuda {

namespace {

template <class T>
void embedding(int64_t count, int64_t width, const T* w, const int64_t* index, T* y) {
  take_rows(1, 0, count, width, w, index, y);
}

template <class T>
void embedding_backward(int64_t rows, int64_t count, int64_t width, const T* dy, const int64_t* index, int64_t padding,
                        bool by_frequency, T* dw) {
  add_rows_at(1, rows, count, width, dy, index, padding, by_frequency, dw);
}

template <class T>
constexpr EmbeddingKernels<T> kernels = {embedding<T>, embedding_backward<T>};

}  // namespace

TINYDL_CUDA_TABLE(EmbeddingKernels, embedding, kernels);

}  // namespace tinydl::cuda
