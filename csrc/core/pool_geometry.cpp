#include "core/pool_geometry.h"

#include "core/check.h"

namespace tinydl {

namespace {

constexpr int64_t kMost = (int64_t{1} << 31) - 1;

std::string pair_text(const Pair& p) { return text("(", p.first, ", ", p.second, ")"); }

void check_range(const char* op, const char* name, const Pair& p, int64_t least) {
  check(p.first >= least && p.second >= least && p.first <= kMost && p.second <= kMost, op, ": got ", name, " ",
        pair_text(p), ", wanted integers from ", least, " to ", kMost);
}

int64_t output_size(const PoolAxis& a, bool ceil_mode) {
  const int64_t last = a.in + 2 * a.padding - a.dilation * (a.kernel - 1) - 1 + (ceil_mode ? a.stride - 1 : 0);
  int64_t out = last / a.stride - (last % a.stride < 0) + 1;
  if (ceil_mode && (out - 1) * a.stride >= a.in + a.padding) --out;
  return out;
}

}  // namespace

PoolGeometry pool_geometry(const char* op, const Layout& x, const PoolOptions& o) {
  check(x.ndim == 4, op, ": got an input of shape ", x, ", wanted (N, C, H, W)");
  check(x.shape[2] > 0 && x.shape[3] > 0, op, ": an input of shape ", x, " has no pixels");
  check_range(op, "kernel_size", o.kernel, 1);
  check_range(op, "stride", o.stride, 1);
  check_range(op, "dilation", o.dilation, 1);
  check_range(op, "padding", o.padding, 0);
  const Pair extent{(o.kernel.first - 1) * o.dilation.first + 1, (o.kernel.second - 1) * o.dilation.second + 1};
  check(o.padding.first <= o.kernel.first / 2 && o.padding.second <= o.kernel.second / 2, op, ": got padding ",
        pair_text(o.padding), ", wanted at most half of the kernel_size ", pair_text(o.kernel));
  PoolGeometry g{x.shape[0],
                 x.shape[1],
                 {x.shape[2], 0, o.kernel.first, o.stride.first, o.padding.first, o.dilation.first},
                 {x.shape[3], 0, o.kernel.second, o.stride.second, o.padding.second, o.dilation.second}};
  g.h.out = output_size(g.h, o.ceil_mode);
  g.w.out = output_size(g.w, o.ceil_mode);
  check(g.h.out >= 1 && g.w.out >= 1, op, ": windows that span ", pair_text(extent), " pixels do not fit into ",
        pair_text({g.h.in, g.w.in}), " pixels with padding ", pair_text(o.padding));
  return g;
}

}  // namespace tinydl
