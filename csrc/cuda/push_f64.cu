#include "launch.cuh"

template void hogwild::cuda::launch_push<double, double>(const hogwild::PushPlan&,
                                                                const hogwild::PushCall&,
                                                                const hogwild::cuda::Tables&);
