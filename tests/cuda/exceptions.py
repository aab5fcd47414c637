"""Public operations that the sweep over devices does not call, and why."""

EXCEPTIONS = {
    "settings of the CPU's threads and memory, of the tape and of precision": "are_deterministic_algorithms_enabled "
    "autocast empty_cache enable_grad explain get_autocast_dtype get_float32_matmul_precision get_num_threads "
    "inference_mode is_autocast_enabled is_grad_enabled memory_stats no_grad reset_peak_memory set_cache_limit "
    "set_float32_matmul_precision set_grad_enabled set_num_threads use_deterministic_algorithms",
    "the generator's state, which lies on the CPU": "Generator get_rng_state initial_seed manual_seed seed "
    "set_rng_state",
    "about dtypes and names, no arrays": "can_cast device promote_types nn.init.calculate_gain",
    "made of NumPy's memory or of bytes": "BoolTensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor "
    "IntTensor LongTensor ShortTensor Tensor from_numpy frombuffer",
    "of the CPU's memory so far": "from_dlpack",
    "what each call's comparison rests on": "Tensor.backward Tensor.numpy Tensor.register_hook Tensor.retain_grad",
    "tested below": "Tensor.cuda load save",
    "bases of what is called": "linalg.LinAlgError nn.Module nn.RNNBase nn.RNNCellBase optim.Optimizer",
}
