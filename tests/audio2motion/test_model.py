import pytest
import torch
from audio2motion import Audio2Motion, Audio2MotionConfig, Controls
from audio2motion.flow import PriorFlow
from core.hub import parameter_count


def controls(config, frames=16, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    audio = torch.randn(batch, 2 * frames, config.audio_width, generator=generator)
    pitch = torch.randint(1, 256, (batch, 2 * frames), generator=generator)
    return Controls(audio, pitch, torch.zeros(batch, frames, dtype=torch.long), torch.full((batch,), 0.3), torch.ones(batch, frames))


def shaken(config):
    """A network whose zero-initialised layers do something."""
    torch.manual_seed(0)
    net = Audio2Motion(config).eval()
    for parameter in net.flow.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return net


@pytest.mark.parametrize(("preset", "millions"), [("paper", 9.861), ("release", 11.864)])
def test_sizes_of_the_paper_and_of_the_release(preset, millions):
    with torch.device("meta"):
        net = Audio2Motion(Audio2MotionConfig.preset(preset))
    assert parameter_count(net) == pytest.approx(millions * 1e6, rel=1e-3)


def test_parts_of_the_released_size():
    with torch.device("meta"):
        net = Audio2Motion(Audio2MotionConfig.preset("release"))
    encoder = sum(parameter_count(part) for part in (net.encoder_in, net.encoder, net.encoder_out))
    decoder = sum(parameter_count(part) for part in (net.decoder_in, net.decoder, net.decoder_out))
    assert [round(count / 1e6, 2) for count in (encoder, decoder, parameter_count(net.flow))] == [6.91, 3.39, 0.79]


def test_flow_inverse_and_volume():
    torch.manual_seed(0)
    flow = PriorFlow(latent=4, hidden=8, cond=3, layers=2, steps=3).double()
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    z, cond, mask = torch.randn(1, 4, 5).double(), torch.randn(1, 3, 5).double(), torch.ones(1, 1, 5).double()
    assert torch.allclose(flow.inverse(flow(z, cond, mask), cond, mask), z, atol=1e-9)
    jacobian = torch.autograd.functional.jacobian(lambda x: flow(x, cond, mask).flatten(), z).reshape(20, 20)
    assert torch.linalg.det(jacobian).abs() == pytest.approx(1.0, abs=1e-6)


def test_kl_of_a_plain_gaussian_is_the_closed_form():
    """With the flow at its identity start, the estimate averages to KL(N(m, s) || N(0, 1))."""
    config = Audio2MotionConfig.preset("debug")
    net = Audio2Motion(config).eval()
    for parameter in (net.encoder_out.weight, net.encoder_out.bias):
        torch.nn.init.zeros_(parameter)
    mean, log_std = 0.7, -0.4
    with torch.no_grad():
        net.encoder_out.bias[: config.latent] = mean
        net.encoder_out.bias[config.latent :] = log_std
        made = net(torch.zeros(64, 32, 64), controls(config, 32, 64), torch.Generator().manual_seed(0))
    exact = 0.5 * (mean**2 + torch.tensor(2 * log_std).exp().item()) - log_std - 0.5
    assert float(made.kl) == pytest.approx(exact, abs=0.05)


def test_padding_changes_nothing():
    config = Audio2MotionConfig.preset("debug")
    net = shaken(config)
    short = controls(config, 16, 1)
    mask = torch.cat([torch.ones(1, 16), torch.zeros(1, 8)], 1)
    zeros = torch.zeros(1, 8, dtype=torch.long)
    noise = torch.randn(1, config.latent, 6)
    audio = torch.cat([short.audio, torch.zeros(1, 16, config.audio_width)], 1)
    pitch = torch.cat([short.pitch, torch.ones(1, 16, dtype=torch.long)], 1)
    padded = Controls(audio, pitch, torch.cat([short.blink, zeros], 1), short.mouth_amplitude, mask)
    with torch.no_grad():
        alone, together = net.decode_prior(short, noise[..., :4]), net.decode_prior(padded, noise)
    # The audio convolutions see past the end of the clip for two rows of 50 Hz, hence one latent frame may differ at the joint.
    assert torch.allclose(alone[:, :2], together[:, :2], atol=0.2)
    assert float(together[:, 16:].abs().max()) == 0.0


def test_temperature_and_seed():
    config = Audio2MotionConfig.preset("debug")
    net, given = shaken(config), controls(config)

    def draw(temperature, seed):
        with torch.no_grad():
            return net.sample(given, temperature, torch.Generator().manual_seed(seed))

    assert torch.equal(draw(0.2, 1), draw(0.2, 1))
    assert not torch.equal(draw(0.2, 1), draw(0.2, 2))
    assert torch.equal(draw(0.0, 1), draw(0.0, 2))


def test_every_parameter_learns():
    config = Audio2MotionConfig.preset("debug")
    net = shaken(config).train()
    made = net(torch.randn(2, 16, 64), controls(config), torch.Generator().manual_seed(0), prior_temperature=0.5)
    (made.exp.square().mean() + made.kl + made.prior_exp.square().mean()).backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []


def test_weights_folder_round_trip(tmp_path):
    net = Audio2Motion(Audio2MotionConfig(**{**Audio2MotionConfig.preset("debug").__dict__, "face_model": "0123456789ab"}))
    net.save_pretrained(tmp_path)
    again = Audio2Motion.from_pretrained(tmp_path)
    assert again.config == net.config
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True))
