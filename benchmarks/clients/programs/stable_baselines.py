# SPDX-License-Identifier: Apache-2.0
"""The recipe for ONNX in stable-baselines3's documentation, random weights: `python stable_baselines.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("PPO", "PPO, images", "SAC", "DQN", "TD3")


def main(case: str) -> None:
    watch.begin()
    import gymnasium
    import numpy as np
    import stable_baselines3
    import torch

    class Space(gymnasium.Env):
        def __init__(self) -> None:
            if case.endswith("images"):
                self.observation_space = gymnasium.spaces.Box(0, 255, (3, 36, 36), np.uint8)
            else:
                self.observation_space = gymnasium.spaces.Box(-1, 1, (6,), np.float32)
            if case == "DQN":
                self.action_space = gymnasium.spaces.Discrete(3)
            else:
                self.action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

    class OnPolicy(torch.nn.Module):
        def __init__(self, policy: torch.nn.Module) -> None:
            super().__init__()
            self.policy = policy

        def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            return self.policy(observation, deterministic=True)

    class OffPolicy(torch.nn.Module):
        def __init__(self, actor: torch.nn.Module) -> None:
            super().__init__()
            self.actor = actor

        def forward(self, observation: torch.Tensor) -> torch.Tensor:
            return self.actor(observation, deterministic=True)

    class Values(torch.nn.Module):
        def __init__(self, values: torch.nn.Module) -> None:
            super().__init__()
            self.values = values

        def forward(self, observation: torch.Tensor) -> torch.Tensor:
            return self.values(observation)

    algorithm = getattr(stable_baselines3, case.partition(",")[0])
    policy = "CnnPolicy" if case.endswith("images") else "MlpPolicy"
    options = {} if case.startswith("PPO") else {"buffer_size": 10}
    policy = algorithm(policy, Space(), device="cpu", seed=0, **options).policy
    if case.startswith("PPO"):
        model = OnPolicy(policy)
    elif case == "DQN":
        model = Values(policy.q_net)
    elif case == "SAC":
        model = OffPolicy(policy.actor)
    else:
        model = Values(policy.actor)
    observation = torch.randn(1, *policy.observation_space.shape)
    if case.endswith("images"):
        observation = torch.randint(0, 256, observation.shape, dtype=torch.uint8)
    torch.onnx.export(model.eval(), observation, "policy.onnx", opset_version=17, input_names=["input"])


if __name__ == "__main__":
    main(sys.argv[1])
