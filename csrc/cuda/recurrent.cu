// Recurrent cells, a launch a time step: the product with U, from the second-level cache, and the cell's equations.
//
// A step of B sequences and H units reads G H^2 elements of U for each 16 sequences and multiplies 2 G B H^2; its
// states and gates are (G + 2) B H elements and more. Up to some hundred sequences it is the launches, some 2 us each,
// and the reads of U from the second-level cache that take the time.
#include "contract/recurrent.h"

#include "cuda/recurrent/backward.h"
#include "cuda/recurrent/forward.h"

namespace tinydl::cuda {

namespace {

template <class T>
void forward(Cell cell, const SequenceShape& shape, const Sequence<T>& s) {
  switch (cell) {
    case Cell::rnn_tanh:
      return run_forward<Cell::rnn_tanh>(shape, s);
    case Cell::rnn_relu:
      return run_forward<Cell::rnn_relu>(shape, s);
    case Cell::lstm:
      return run_forward<Cell::lstm>(shape, s);
    case Cell::gru:
      return run_forward<Cell::gru>(shape, s);
  }
}

template <class T>
void backward(Cell cell, const SequenceShape& shape, const Sequence<T>& s, const SequenceGrad<T>& d) {
  switch (cell) {
    case Cell::rnn_tanh:
      return run_backward<Cell::rnn_tanh>(shape, s, d);
    case Cell::rnn_relu:
      return run_backward<Cell::rnn_relu>(shape, s, d);
    case Cell::lstm:
      return run_backward<Cell::lstm>(shape, s, d);
    case Cell::gru:
      return run_backward<Cell::gru>(shape, s, d);
  }
}

template <class T>
constexpr RecurrentKernels<T> kernels = {forward<T>, backward<T>};

}  // namespace

TINYDL_CUDA_TABLE(RecurrentKernels, recurrent, kernels);

}  // namespace tinydl::cuda
