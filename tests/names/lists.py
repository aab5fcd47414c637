"""What differs from PyTorch, and why.

`test_names.py` holds the lists of arguments and of missing names complete, for the modules that they name; of the main
module and the tensor's methods, what is missing is not listed (some hundreds of names, most of them PyTorch's own).
BEHAVIOUR is for the reader.
"""

ARGUMENTS = {
    "out": "results are fresh arrays from the caching allocator, which costs no more than writing into old ones",
    "layout": "tensors are dense",
    "pin_memory": "memory of the CPU needs no pinning",
    "memory_format": "results keep the memory order of their inputs; images are channels-last",
    "device": "so far there is the CPU; functions that make tensors take the argument",
    "names": "axes have no names, as in nearly all of PyTorch's own code",
    "non_blocking": "nothing runs behind the caller's back",
    "out_dtype": "products are computed in the dtype of their operands",
    "self": "the tensor of a method",
    "input_": "the stubs' name for it",
    "_stacklevel": "PyTorch's own",
}
"""Arguments that may be missing or added anywhere."""

_FUSED = "activation: fused into the kernel that computes the product"
_INDICES = "PyTorch has a function of another name for the maxima with their indices; nn.functional has the argument"
_BOTH = "one function instead of one for each spelling of the sections"
_VARIANCE = "unbiased is another spelling of correction, and refused beside it"
_INPLACE = "PyTorch has the argument in nn.functional only; here both names are one function"
_PICKLE = "files are safetensors, never pickles"
_ORDER = "seed: an order that does not depend on the random numbers drawn before"

DIFFERENT = {
    "adaptive_max_pool1d": ("adds return_indices", _INDICES),
    "celu": ("adds inplace", _INPLACE),
    "conv1d": ("adds activation", _FUSED),
    "conv2d": ("adds activation", _FUSED),
    "isin": ("lacks element; lacks test_element", "numbers may be given as elements and test_elements"),
    "load": ("lacks pickle_module; lacks mmap", _PICKLE),
    "linspace": ("defaults steps to 'required', not None", "PyTorch's stub: it too refuses a call without steps"),
    "logspace": ("defaults steps to 'required', not None", "PyTorch's stub: it too refuses a call without steps"),
    "max_pool1d": ("adds return_indices", _INDICES),
    "max_pool2d": ("adds return_indices", _INDICES),
    "numel": ("adds input", "PyTorch's stub forgets it"),
    "save": (
        "lacks pickle_module; lacks pickle_protocol; lacks _use_new_zipfile_serialization; "
        "lacks _disable_byteorder_record",
        _PICKLE,
    ),
    "selu": ("adds inplace", _INPLACE),
    "std": ("defaults unbiased to None, not True", _VARIANCE),
    "std_mean": ("defaults unbiased to None, not True", _VARIANCE),
    "tensor_split": (
        "lacks tensor_indices_or_sections; lacks sections; lacks indices; adds indices_or_sections",
        _BOTH,
    ),
    "threshold": ("adds inplace", _INPLACE),
    "tril_indices": ("lacks requires_grad", "integers have no gradients"),
    "triu_indices": ("lacks requires_grad", "integers have no gradients"),
    "unique": (
        "adds input; adds sorted; adds return_inverse; adds return_counts; adds dim",
        "PyTorch's is declared with *args; these are the arguments that it documents",
    ),
    "var": ("defaults unbiased to None, not True", _VARIANCE),
    "var_mean": ("defaults unbiased to None, not True", _VARIANCE),
    "Tensor.requires_grad_": ("lacks mode; adds requires_grad", "PyTorch's documentation says requires_grad"),
    "Tensor.std": ("defaults unbiased to None, not True", _VARIANCE),
    "Tensor.tensor_split": (
        "lacks indices; lacks tensor_indices_or_sections; lacks sections; adds indices_or_sections",
        _BOTH,
    ),
    "Tensor.var": ("defaults unbiased to None, not True", _VARIANCE),
    "nn.Hardtanh": ("lacks min_value; lacks max_value", "PyTorch's deprecated spellings of min_val and max_val"),
    "nn.NLLLoss2d": (
        "adds weight; adds size_average; adds ignore_index; adds reduce; adds reduction",
        "PyTorch's is declared with *args",
    ),
    "nn.Parameter": ("defaults data to 'required', not None", "a parameter without elements says so: empty(0)"),
    "nn.functional.conv1d": ("adds activation", _FUSED),
    "nn.functional.conv2d": ("adds activation", _FUSED),
    "nn.functional.dropout": ("adds generator", "where the mask is drawn from, for runs that must repeat"),
    "nn.functional.linear": ("adds activation", _FUSED),
    "utils.data.DataLoader": ("adds seed", _ORDER),
    "utils.data.RandomSampler": (
        "lacks replacement; lacks num_samples; adds seed",
        f"each sample once an epoch, so that a resumed run repeats the order; {_ORDER}",
    ),
    "utils.data.SubsetRandomSampler": ("adds seed", _ORDER),
    "utils.data.random_split": (
        "defaults generator to None, not <torch._C.Generator>",
        "None stands for the default generator",
    ),
    "autograd.backward": (
        "lacks tensors; lacks grad_tensors; lacks grad_variables; adds root; adds gradient",
        "it is the tensor's method, for one tensor",
    ),
    "autograd.grad": (
        "lacks only_inputs; lacks allow_unused; lacks is_grads_batched; lacks materialize_grads",
        "unused inputs get zeros",
    ),
    "autograd.gradcheck": (
        "lacks raise_exception; lacks nondet_tol; lacks check_undefined_grad; lacks check_grad_dtypes; "
        "lacks check_batched_grad; lacks check_batched_forward_grad; lacks check_forward_ad; lacks check_backward_ad; "
        "lacks fast_mode; lacks masked; adds seed",
        "those are about parts of PyTorch that are not here; seed: of the upstream gradient",
    ),
}
"""Name: (what differs in its arguments, why)."""

ADDED = {
    "empty_cache": "of the caching allocator, which PyTorch has for GPUs only",
    "memory_stats": "likewise",
    "reset_peak_memory": "likewise",
    "set_cache_limit": "likewise",
    "one_hot": "TensorFlow's tf.one_hot, which the documents' scripts call; PyTorch's is nn.functional.one_hot",
    "autograd.is_grad_enabled": "PyTorch has it in the main module only",
    "autograd.register_hook": "the tensor's method",
    "autograd.retain_grad": "the tensor's method",
}
"""Names that PyTorch does not have there, and why we do."""

_THREE = "three spatial axes: the models are of signals, images and text"
_LATER = "come with the recurrent and attention families"
_OWN = "PyTorch's own machinery"
_OLD = "deprecated in PyTorch"
_RARE = "rare, and not asked for"

MISSING = {
    "nn.": {
        _THREE: "AdaptiveAvgPool3d AdaptiveMaxPool3d AvgPool3d Conv3d ConvTranspose3d FractionalMaxPool3d LPPool3d "
        "LazyBatchNorm3d LazyConv3d LazyConvTranspose3d LazyInstanceNorm3d MaxPool3d MaxUnpool3d",
        _LATER: "CTCLoss GRU GRUCell LSTM LSTMCell MultiheadAttention RNN RNNBase RNNCell RNNCellBase Transformer "
        "TransformerDecoder TransformerDecoderLayer TransformerEncoder TransformerEncoderLayer",
        "lazy layers: the Keras interface makes weights when it sees the data": "LazyBatchNorm1d LazyBatchNorm2d "
        "LazyConv1d LazyConv2d LazyConvTranspose1d LazyConvTranspose2d LazyInstanceNorm1d LazyInstanceNorm2d "
        "LazyLinear UninitializedBuffer UninitializedParameter",
        "several devices": "DataParallel SyncBatchNorm",
        _RARE: "AdaptiveLogSoftmaxWithLoss Buffer FractionalMaxPool2d LPPool1d LPPool2d "
        "LinearCrossEntropyLoss LinearCrossEntropyOptions MaxUnpool1d RReLU",
        _OLD: "Container CrossMapLRN2d",
        _OWN: "factory_kwargs",
    },
    "nn.functional.": {
        _THREE: "adaptive_avg_pool3d adaptive_max_pool3d avg_pool3d conv3d conv_transpose3d fractional_max_pool3d "
        "lp_pool3d max_pool3d max_unpool3d",
        _LATER: "ctc_loss multi_head_attention_forward scaled_dot_product_attention",
        _RARE: "affine_grid conv_tbc fractional_max_pool2d grid_sample linear_cross_entropy lp_pool1d lp_pool2d rrelu "
        "rrelu_",
        "return_indices=True gives both": "adaptive_max_pool1d_with_indices adaptive_max_pool2d_with_indices "
        "adaptive_max_pool3d_with_indices fractional_max_pool2d_with_indices fractional_max_pool3d_with_indices "
        "max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices",
        _OLD: "upsample upsample_bilinear upsample_nearest",
        _OWN: "ScalingType SwizzleType assert_int_or_pair boolean_dispatch grouped_mm handle_torch_function "
        "has_torch_function has_torch_function_unary has_torch_function_variadic native_channel_shuffle "
        "scaled_grouped_mm scaled_mm",
    },
    "nn.utils.": {
        _RARE: "convert_conv2d_weight_memory_format convert_conv3d_weight_memory_format fuse_conv_bn_eval "
        "fuse_conv_bn_weights fuse_linear_bn_eval fuse_linear_bn_weights skip_init",
        "reparametrised weights are not asked for": "remove_spectral_norm remove_weight_norm spectral_norm weight_norm",
        _OLD: "clip_grad_norm",
    },
    "utils.data.": {
        "several machines": "DistributedSampler",
        _RARE: "ChainDataset IterableDataset StackDataset default_convert get_worker_info",
        _OWN: "DFIterDataPipe DataChunk IterDataPipe MapDataPipe argument_validation functional_datapipe "
        "guaranteed_datapipes_determinism non_deterministic runtime_validation runtime_validation_disabled",
    },
    "optim.": {
        "need closures, matrices or sparse gradients that are not here": "Adafactor LBFGS Muon SparseAdam",
        _OWN: "swap_in_optimizer_params_and_state",
    },
    "optim.lr_scheduler.": {_OWN: "Optimizer Tensor"},
    "nn.init.": {
        _OLD: "constant dirac eye kaiming_normal kaiming_uniform normal orthogonal sparse uniform xavier_normal "
        "xavier_uniform",
    },
}
"""Module: {why: the names that it lacks}."""

BEHAVIOUR = {
    "Tensor.view": "copies where the strides allow no view, as channels-last images need; PyTorch refuses",
    "Tensor.unfold": "a copy; PyTorch's is a view",
    "floor_divide": "passes a gradient of 0, as div(rounding_mode='floor') does; PyTorch refuses",
    "nn.functional.soft_margin_loss": "has a gradient for its target; PyTorch refuses",
    "nn.functional.interpolate": "antialiased images of width 1 are right; PyTorch repeats their first row",
    "sort": "always stable",
    "x[i] = v": "a tensor with views cannot be changed in place while it is recorded; PyTorch rebases the views",
    "labels": "of any integer dtype; PyTorch takes int64 and uint8",
}
"""What the same arguments do otherwise."""
