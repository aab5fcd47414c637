// Matrix products, on tensor cores for 16-bit types, by multiply-adds for float32 and float64: see
// device/tile_product.h.
//
// Floor: 2 m n k FLOPs at the rate of the unit, or the bytes of A, B and C. Operands lie along the sum or along their
// lines, each its own way, and no operand is ever copied; where rows do not start at 16 bytes, elements are read
// singly.
#include "contract/matmul.h"

#include "cuda/matmul/matrices.h"

namespace tinydl::cuda {

namespace {

template <class T>
struct MatmulCall {
  const LoopNest& batches;
  int64_t batch, m, n, k;
  MatrixOperand<T> a, b;
  Finish<T> finish;
  T* c;

  template <TileSize size, Along along_a, Along along_b>
  void run(bool packs_a, bool packs_b) const {
    using P = typename ProductOf<T, size, MatrixFetch, along_a, MatrixFetch, along_b, MatrixTarget<T>>::type;
    const Walk<2> walk(batches, 1);
    run_product<P>(batch, m, n, k, {a.data, a.row_stride, a.column_stride, m, packs_a, 0, walk},
                   {b.data, b.column_stride, b.row_stride, n, packs_b, 1, walk}, {c, m * n, n, 0}, finish,
                   n % kPack<T> == 0 && is_aligned(c, kPack<T>));
  }
  template <TileSize size>
  void run() const {
    const Reading of_a = reading_of(a.data, a.row_stride, a.column_stride, m, k, batches, 0);
    const Reading of_b = reading_of(b.data, b.column_stride, b.row_stride, n, k, batches, 1);
    if (of_a.along == Along::sum && of_b.along == Along::sum)
      run<size, Along::sum, Along::sum>(of_a.packs, of_b.packs);
    else if (of_a.along == Along::sum)
      run<size, Along::sum, Along::lines>(of_a.packs, of_b.packs);
    else if (of_b.along == Along::sum)
      run<size, Along::lines, Along::sum>(of_a.packs, of_b.packs);
    else
      run<size, Along::lines, Along::lines>(of_a.packs, of_b.packs);
  }
};

// Whether the matrices of a batch are one tall A, whose rows all meet the same B.
template <class T>
bool is_one_product(const LoopNest& batches, int64_t m, const MatrixOperand<T>& a) {
  return batches.ndim == 1 && batches.shape[0] > 1 && batches.stride[0][0] == m * a.row_stride &&
         batches.stride[1][0] == 0;
}

template <class T>
void multiply(const LoopNest& batches, int64_t m, int64_t n, int64_t k, const MatrixOperand<T>& a,
              const MatrixOperand<T>& b, const Finish<T>& finish, T* c) {
  if (is_one_product(batches, m, a)) {
    LoopNest one = batches;
    one.shape[0] = 1;
    return multiply(one, batches.shape[0] * m, n, k, a, b, finish, c);
  }
  int64_t batch = 1;
  for (int d = 0; d < batches.ndim; ++d) batch *= batches.shape[d];
  const MatmulCall<T> call{batches, batch, m, n, k, a, b, finish, c};
  by_tile_size<T>(batch, m, n, k, [&](auto size) { call.template run<size.value>(); });
}

template <class T>
void matmul(const LoopNest& batches, int64_t m, int64_t n, int64_t k, const MatrixOperand<T>& a,
            const MatrixOperand<T>& b, const Epilogue<T>& epilogue, T* c) {
  multiply(batches, m, n, k, a, b, Finish<T>(epilogue), c);
}

void matmul_bfloat16(const LoopNest& batches, int64_t m, int64_t n, int64_t k, const MatrixOperand<Bfloat16>& a,
                     const MatrixOperand<Bfloat16>& b, const Epilogue<float>& epilogue, Bfloat16* c) {
  multiply(batches, m, n, k, a, b, Finish<Bfloat16>(epilogue.bias, epilogue.activation), c);
}

template <class T>
constexpr MatmulKernels<T> kernels = {matmul<T>, nullptr};
template <>
constexpr MatmulKernels<float> kernels<float> = {matmul<float>, matmul_bfloat16};

}  // namespace

TINYDL_CUDA_TABLE(MatmulKernels, matmul, kernels);

}  // namespace tinydl::cuda
