"""A head over time as one ONNX graph, behind the model whose features it reads. Knows nothing about runs or files."""

import torch
from onnx import compose, load_model_from_string
from torch import nn

from mien.model import CLIP_OUTPUT, NEXT_STATE, OUTPUT, SECONDS, STATE
from mien.networks.clip import ClipNetwork
from mien.networks.end_to_end import EndToEnd
from mien.networks.features import FrameFeatures
from mien.networks.features_graph import FEATURES
from mien.networks.graph import exported


class LiveHead(nn.Module):
    """One frame of a head over time, as a graph has it: features, seconds and state in, probabilities and state out."""

    def __init__(self, network: ClipNetwork, temperature: float):
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(
        self, features: torch.Tensor, seconds: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return probabilities of the frame and of the clip so far (N, C), and the next state (N, D)."""
        network = self.network
        x = ClipNetwork.inputs(network, features, seconds)  # of features, also where the network takes faces
        hidden, pooled, _, after = network.step(x, seconds, state)
        frames, clips = network.frame_classifier(hidden), network.clip_classifier(pooled)
        return (frames / self.temperature).softmax(1), (clips / self.temperature).softmax(1), after


def clip_graph(network: ClipNetwork, features: FrameFeatures, temperature: float) -> bytes:
    """Return a head over time behind the model whose features it reads, as the bytes of an ONNX file, N free."""
    example = torch.zeros(2, features.size), torch.zeros(2), network.start(2)
    names = [FEATURES, SECONDS, STATE], [OUTPUT, CLIP_OUTPUT, NEXT_STATE]
    head = load_model_from_string(exported(LiveHead(network.eval(), temperature), example, *names))
    graph = network.frames.written() if isinstance(network, EndToEnd) else features.graph
    base = compose.add_prefix(graph, "frame/", rename_inputs=False, rename_outputs=False)
    whole = compose.merge_models(base, head, io_map=[(FEATURES, FEATURES)])
    del whole.graph.value_info[:]
    return whole.SerializeToString()
