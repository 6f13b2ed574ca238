"""What the server of ``warm`` has imported before it forks."""

import torch
import torch.distributed.checkpoint

torch.set_num_threads(1)
