#include "core/conv_geometry.h"

#include "core/check.h"

namespace tinydl {

namespace {

// Prints an image's shape with the names of its axes.
struct Image {
  const Layout& x;
};
std::ostream& operator<<(std::ostream& out, const Image& image) {
  const int64_t* shape = image.x.shape;
  return out << "(N=" << shape[0] << ", C=" << shape[1] << ", H=" << shape[2] << ", W=" << shape[3] << ")";
}

// Sizes are kept in this range, so that no product of two of them overflows.
constexpr int64_t kMost = (int64_t{1} << 31) - 1;

void check_range(const char* op, const char* what, const char* axis, int64_t value, int64_t least) {
  check(value >= least && value <= kMost, op, ": got ", what, " ", value, " along ", axis, ", wanted ", least, " to ",
        kMost);
}

// Throws where the images, with all the margin that any pass puts around them, would not fit into memory.
void check_frame(const char* op, const ConvGeometry& g) {
  int64_t bytes = sizeof(double);
  const auto reach = [](const ConvAxis& a) { return a.padded() + 2 * a.dilation * (a.kernel - 1); };
  const int64_t widest = g.channels > g.filters ? g.channels : g.filters;
  for (const int64_t size : {g.batch, widest, reach(g.h), reach(g.w)})
    check(!__builtin_mul_overflow(bytes, size, &bytes), op, ": the padded images would exceed the address space");
}

ConvAxis conv_axis(const char* op, const char* name, int64_t input, int64_t kernel, int64_t stride, int64_t dilation,
                   int64_t before, int64_t after) {
  check_range(op, "stride", name, stride, 1);
  check_range(op, "dilation", name, dilation, 1);
  check_range(op, "padding", name, before, 0);
  check_range(op, "padding", name, after, 0);
  check_range(op, "kernel size", name, kernel, 1);
  check_range(op, "input size", name, input, 0);
  const int64_t reach = dilation * (kernel - 1) + 1;
  const int64_t padded = input + before + after;
  check(padded >= reach, op, ": the kernel reaches over ", reach, " elements (size ", kernel, ", dilation ", dilation,
        ") but the padded input has ", padded, " along ", name);
  return {input, kernel, (padded - reach) / stride + 1, stride, dilation, before, after};
}

}  // namespace

ConvGeometry conv_geometry(const char* op, const Layout& input, const Layout& weight, const ConvOptions& options) {
  check(input.ndim == 4, op, ": got an input of shape ", input, ", wanted (N, C, H, W)");
  check(weight.ndim == 4, op, ": got a weight of shape ", weight, ", wanted (O, C / groups, KH, KW)");
  const int64_t groups = options.groups, channels = input.shape[1], filters = weight.shape[0];
  check(groups >= 1 && channels % groups == 0 && filters % groups == 0, op, ": groups=", groups,
        " does not divide the ", channels, " input channels and ", filters, " filters");
  check(weight.shape[1] == channels / groups, op, ": weight has ", weight.shape[1], " input channels per group, input ",
        Image{input}, " with groups=", groups, " needs ", channels / groups);
  ConvGeometry g;
  g.batch = input.shape[0];
  g.channels = channels;
  g.filters = filters;
  g.groups = groups;
  g.h = conv_axis(op, "H", input.shape[2], weight.shape[2], options.stride[0], options.dilation[0], options.padding[0],
                  options.padding[1]);
  g.w = conv_axis(op, "W", input.shape[3], weight.shape[3], options.stride[1], options.dilation[1], options.padding[2],
                  options.padding[3]);
  check_frame(op, g);
  return g;
}

}  // namespace tinydl
