// Recurrent cells, a launch a time step: the product with U and the cell's equations in one kernel.
//
// A step of B sequences, H units and G gates takes 2 G B H^2 operations. It reads G H^2 elements of U for each 16 or 32
// sequences, from the second-level cache where U fits it (50 MB), and moves some (2 G + 4) B H elements of gates and
// states. The floor of a layer of T steps is T launches, one waiting for the other.
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
