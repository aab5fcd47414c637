"""What differs from PyTorch, and why.

`test_names.py` holds the lists of arguments and of missing names complete: a difference that is not listed fails, and
so does a line that no longer tells of one. In the names, * and [1-7] mean what they mean in names of files. BEHAVIOUR
is for the reader.
"""

ARGUMENTS = {
    "out": "results are fresh arrays from the caching allocator, which costs no more than writing into old ones",
    "layout": "tensors are dense",
    "pin_memory": "memory of the CPU needs no pinning",
    "memory_format": "results keep the memory order of their inputs; images are channels-last",
    "device": "functions that make tensors take the argument",
    "names": "axes have no names, as in nearly all of PyTorch's own code",
    "non_blocking": "nothing runs behind the caller's back",
    "out_dtype": "products are computed in the dtype of their operands",
    "self": "the tensor of a method",
    "input_": "the stubs' name for it",
    "_stacklevel": "PyTorch's own",
    "implicit": "PyTorch's own",
    "orig_func": "PyTorch's own: what a decorator without parentheses is given",
}
"""Arguments that may be missing or added anywhere."""

_FUSED = "activation: fused into the kernel that computes the product"
_INDICES = "PyTorch has a function of another name for the maxima with their indices; nn.functional has the argument"
_STARRED = "PyTorch's is declared with *args; these are the arguments that it documents"
_RECURRENT = "".join(
    f"adds {name}; "
    for name in ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional")
)
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
    "hsplit": ("lacks sections; lacks indices; adds indices_or_sections", _BOTH),
    "vsplit": ("lacks sections; lacks indices; adds indices_or_sections", _BOTH),
    "dsplit": ("lacks sections; lacks indices; adds indices_or_sections", _BOTH),
    "meshgrid": ("defaults indexing to 'ij', not None", "which is what None means, with a warning"),
    "result_type": ("lacks scalar; lacks scalar1; lacks scalar2", "numbers may be given for both"),
    "tensor_split": (
        "lacks tensor_indices_or_sections; lacks sections; lacks indices; adds indices_or_sections",
        _BOTH,
    ),
    "threshold": ("adds inplace", _INPLACE),
    "tril_indices": ("lacks requires_grad", "integers have no gradients"),
    "triu_indices": ("lacks requires_grad", "integers have no gradients"),
    "unique": (
        "adds input; adds sorted; adds return_inverse; adds return_counts; adds dim",
        _STARRED,
    ),
    "unique_consecutive": ("adds input; adds return_inverse; adds return_counts; adds dim", _STARRED),
    "var": ("defaults unbiased to None, not True", _VARIANCE),
    "var_mean": ("defaults unbiased to None, not True", _VARIANCE),
    "Tensor.requires_grad_": ("lacks mode; adds requires_grad", "PyTorch's documentation says requires_grad"),
    "Tensor.tensor_split": (
        "lacks indices; lacks tensor_indices_or_sections; lacks sections; adds indices_or_sections",
        _BOTH,
    ),
    "Tensor.to": ("lacks other", "a tensor whose dtype is wanted may come first"),
    "Tensor.view": ("lacks dtype", "a dtype may come first, in place of sizes"),
    "nn.Hardtanh": ("lacks min_value; lacks max_value", "PyTorch's deprecated spellings of min_val and max_val"),
    "nn.GRU": (f"{_RECURRENT}adds dtype", _STARRED),
    "nn.LSTM": (f"{_RECURRENT}adds proj_size; adds dtype", _STARRED),
    "nn.NLLLoss2d": (
        "adds weight; adds size_average; adds ignore_index; adds reduce; adds reduction",
        _STARRED,
    ),
    "nn.RNN": (_RECURRENT.replace("adds bias", "adds nonlinearity; adds bias", 1) + "adds dtype", _STARRED),
    "nn.Sequential": ("adds modules", _STARRED),
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
    "autograd.gradcheck": (
        "lacks raise_exception; lacks nondet_tol; lacks check_undefined_grad; lacks check_grad_dtypes; "
        "lacks check_batched_grad; lacks check_batched_forward_grad; lacks check_forward_ad; lacks check_backward_ad; "
        "lacks fast_mode; lacks masked; adds seed",
        "those are about parts of PyTorch that are not here; seed: of the upstream gradient",
    ),
}
"""Name: (what differs in its arguments, why). A line on a function stands for the tensor's method of that name too."""

ADDED = {
    "explain": "which loop computes a call: PyTorch tells through its profiler",
    "empty_cache": "of the caching allocator, which PyTorch has for GPUs only",
    "memory_stats": "likewise",
    "reset_peak_memory": "likewise",
    "set_cache_limit": "likewise",
    "one_hot": "TensorFlow's tf.one_hot, which the documents' scripts call; PyTorch's is nn.functional.one_hot",
    "autograd.backward_from": "the tensor's method",
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
_COMPLEX = "complex numbers"
_QUANTIZED = "quantized types"
_SPARSE = "sparse layouts and lists of unequal tensors"
_DEVICES = "other devices, and memory pinned for them"
_MEMORY = "a tensor's memory is its NumPy array, whose order follows from the inputs"
_GRAPHS = "graphs and copies for PyTorch's compilers"
_SPECIAL = "special functions"
_SIGNAL = "Fourier transforms and their windows"
_FACTORS = "NumPy has no such factors; linalg has the common ones"

MISSING = {
    "": {
        "functions in place: the methods are there": "*_",
        _COMPLEX: "angle chalf cdouble cfloat complex complex[0-9]* conj conj_physical imag is_conj is_neg isreal "
        "polar real resolve_* view_as_complex view_as_real",
        _QUANTIZED: "choose_qparams_optimized dequantize empty_quantized fake_quantize_* *_fake_quant fbgemm_* "
        "int_repr per_channel_* per_tensor_* q_* qint* qscheme quantize* quint*",
        "floats of 4 and 8 bits, integers that NumPy or the kernels do not have": "bit bits* float4_* float8_* "
        "int[1-7] uint[1-7] uint16 uint32 uint64",
        _SPARSE: "dsmm hsmm hspmm jagged saddmm segment_reduce smm sparse_* spmm sspaddmm",
        _DEVICES: "Event Stream get_default_device get_device get_device_module set_default_device",
        _MEMORY: "*Storage StorageBase as_strided* channels_last* *contiguous_format empty_permuted empty_strided "
        "from_file is_storage layout memory_format preserve_format strided",
        "amp has it": "GradScaler",
        "what autocast takes as arguments": "*autocast_* is_autocast_cache_enabled",
        "float32 is the default": "BFloat16Tensor get_default_dtype set_default_dtype set_default_tensor_type",
        "printing is NumPy's: numpy.set_printoptions": "set_printoptions",
        "the kernels flush denormals where it pays": "set_flush_denormal",
        "nn.functional has them; under these names PyTorch's have other arguments": "alpha_dropout batch_norm "
        "binary_cross_entropy_with_logits cosine_embedding_loss ctc_loss dropout embedding embedding_bag "
        "feature_*dropout group_norm hinge_embedding_loss instance_norm kl_div layer_norm margin_ranking_loss "
        "poisson_nll_loss rms_norm triplet_margin_loss",
        _LATER: "gru gru_cell lstm lstm_cell rnn_*",
        _THREE: "conv3d conv_transpose3d max_pool3d",
        _GRAPHS: "*Type *_copy *_scatter unsafe_* slice_inverse compile cond fork vmap wait while_loop sym_* Sym* "
        "Script* Graph* AliasDb Argument ArgumentSpec Block BufferDict CallStack Capsule Code CompilationUnit "
        "CompleteArgumentSpec ConcreteModuleTypeBuilder ErrorReport ExecutionPlan FileCheck FunctionSchema Future "
        "Gradient IODescriptor JITException LiteScriptModule ModuleDict Node OperatorInfo ParameterDict StaticModule "
        "TracingState Type Use Value import_ir_module* merge_type_from_type_comment parse_* unify_type_list",
        "other libraries' kernels": "cudnn_* miopen_* mkldnn_* native_* batch_norm_*",
        _OWN: "AVG SUM AcceleratorError Benchmark* DeepCopyMemoTable *SerializationStorageContext "
        "DeserializationStorageContext DispatchKey* DisableTorchFunction* ExcludeDispatchKeyGuard FatalError "
        "LockingLogger LoggerBase NoopLogger OutOfMemoryError PRIVATE_OPS PyTorchFile* Tag ThroughputBenchmark USE_* "
        "classproperty compiled_with_cxx11_abi get_file_path has_* hash_tensor init_num_threads is_*_enabled "
        "is_distributed is_inference is_vulkan_available prepare_multiprocessing_environment profiler_* "
        "set_anomaly_enabled set_warn_always *_num_interop_threads *_deterministic_debug_mode thread_safe_generator "
        "typename affine_grid_generator constant_pad_nd convolution grid_sampler* norm_except_dim",
        _OLD: "conv_tbc eig frobenius_norm lstsq lu matrix_rank nuclear_norm qr range solve svd symeig to_dlpack "
        "triangular_solve",
        _SPECIAL: "digamma erfinv i0 igamma igammac lgamma mvlgamma polygamma",
        _SIGNAL: "*_window istft stft",
        _FACTORS: "cholesky_inverse geqrf lobpcg lu_solve lu_unpack matrix_exp orgqr ormqr *_lowrank",
        _RARE: "binomial copysign fill frexp gcd gradient histogram* index_reduce lcm ldexp logaddexp2 "
        "max_pool1d_with_indices nextafter nonzero_static poisson put renorm rrelu",
    },
    "Tensor.": {
        _COMPLEX: "angle chalf cdouble cfloat conj conj_physical* imag is_conj is_neg isreal real resolve_*",
        _QUANTIZED: "dequantize int_repr is_quantized q_* qscheme",
        _SPARSE: "*sparse* *_indices coalesce dense_dim indices is_coalesced is_nested smm sspaddmm to_dense "
        "to_padded_tensor values",
        _DEVICES: "ipu is_ipu is_m[aekpt]* is_pinned is_vulkan is_x* mtia pin_memory record_stream to_mkldnn xpu",
        _MEMORY: "as_strided* const_data_ptr dim_order is_set_to is_shared layout new_empty_strided resize* set_ "
        "share_memory_ *storage*",
        _GRAPHS: "narrow_copy *_scatter slice_inverse unsafe_*",
        _OWN: "as_subclass grad_dtype hash_tensor index is_distributed is_inference module_load name output_nr",
        _OLD: "eig lstsq lu map2_ new qr reinforce solve svd symeig triangular_solve volatile",
        _SPECIAL: "*gamma *gamma_ erfinv* i0* igammac*",
        _SIGNAL: "istft stft",
        _FACTORS: "cholesky_inverse geqrf lu_solve matrix_exp orgqr ormqr",
        _RARE: "copysign* frexp gcd* histogram index_reduce* lcm* ldexp* logaddexp2 nextafter* nonzero_static put* "
        "register_post_accumulate_grad_hook renorm*",
    },
    "linalg.": {
        _COMPLEX: "eig eigvals",
        _FACTORS: "householder_product ldl_* lu* matrix_exp",
        "those without the ending refuse what these report": "*_ex",
        _RARE: "tensorinv tensorsolve",
    },
    "autograd.": {
        "gradients of gradients": "gradgradcheck",
        "errors of a walk name the operation as it is": "detect_anomaly set_detect_anomaly",
        _OLD: "NestedIOFunction Variable variable",
        _OWN: "DeviceType Profiler* SavedTensor enforce_grad_layout_policy *has_torch_function handle_torch_function "
        "is_multithreading_enabled is_tensor_like is_view_replay_enabled kineto_available set_multithreading_enabled",
    },
    "nn.": {
        _THREE: "AdaptiveAvgPool3d AdaptiveMaxPool3d AvgPool3d Conv3d ConvTranspose3d FractionalMaxPool3d LPPool3d "
        "LazyBatchNorm3d LazyConv3d LazyConvTranspose3d LazyInstanceNorm3d MaxPool3d MaxUnpool3d",
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
    "autograd.grad": "hooks change what it returns of their tensor; in PyTorch only if nothing before it is asked for",
    "Size": "tuple itself: shapes have no numel()",
    "sort": "always stable",
    "x[i] = v": "a tensor with views cannot be changed in place while it is recorded; PyTorch rebases the views",
    "labels": "of any integer dtype; PyTorch takes int64 and uint8",
    "nn.MultiheadAttention": "is_causal beside add_bias_kv or add_zero_attn reads the mask, so that keys at the end "
    "are seen; PyTorch's hides them unless weights are wanted",
    "nn.TransformerEncoder": "computes padded places like the others; PyTorch in evaluation may leave zeros there",
    "nn.functional.ctc_loss": "where a probability is 0, gradients are those of its limit; PyTorch gives NaN",
}
"""What the same arguments do otherwise."""
