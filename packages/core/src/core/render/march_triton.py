"""Triton kernels of the volume renderer: densities, rays with their colours, and the gradient of those, one tile of rays a program.

A program walks along its rays sample by sample and keeps the sample and the sums in registers: nothing of size rays x samples x
channels reaches memory. ``march_backward`` computes everything again on its way. With ``v_i`` the gradient of interval i's weight
``w_i = T_i (1 - exp(-o_i))``, that of its optical depth is ``v_i T_i+1 - sum_{j>i} v_j w_j``, and the sum over all j is known from the
result, so that one walk from front to back does.
"""

import triton.language as tl

from core.render.field_triton import activate, add_to_planes, features, kernel, sigmoid, slope, softplus


@kernel
def load_net(net: tl.tensor, CHANNELS: tl.constexpr, HIDDEN: tl.constexpr, FEATURES: tl.constexpr) -> tl.tensor:
    """Weights and biases of the decoder: hidden (c, h), (h); density (h), (); colour (h, f), (f)."""
    c, h, f = tl.arange(0, CHANNELS), tl.arange(0, HIDDEN), tl.arange(0, FEATURES)
    first = tl.load(net + c[:, None] * HIDDEN + h[None, :])
    net += CHANNELS * HIDDEN
    colour = net + 2 * HIDDEN + 1
    second = tl.load(colour + h[:, None] * FEATURES + f[None, :])
    return first, tl.load(net + h), tl.load(net + HIDDEN + h), tl.load(net + 2 * HIDDEN), second, tl.load(colour + HIDDEN * FEATURES + f)


@kernel
def load_rays(origins: tl.tensor, directions: tl.tensor, ray: tl.tensor, here: tl.tensor, scale: tl.tensor) -> tl.tensor:
    """Origins and directions of rays, three vectors each, scaled so that the planes cover [-1, 1]."""
    o, d = origins + ray * 3, directions + ray * 3
    ox, oy, oz = tl.load(o, here, 0.0) * scale, tl.load(o + 1, here, 0.0) * scale, tl.load(o + 2, here, 0.0) * scale
    dx, dy, dz = tl.load(d, here, 0.0) * scale, tl.load(d + 1, here, 0.0) * scale, tl.load(d + 2, here, 0.0) * scale
    return ox, oy, oz, dx, dy, dz


@kernel
def decode(
    x: tl.tensor, w1: tl.tensor, b1: tl.tensor, ws: tl.tensor, bs: tl.tensor, w2: tl.tensor, b2: tl.tensor,
    SILU: tl.constexpr, PRECISION: tl.constexpr,
) -> tl.tensor:  # fmt: skip
    """Hidden layer before its activation (r, h), raw density (r,) and sigmoid of the colours (r, f) of features (r, c)."""
    hidden = tl.dot(x, w1, input_precision=PRECISION) + b1[None, :]
    active = activate(hidden, SILU)
    sigma = tl.sum(active * ws[None, :], 1) + bs
    return hidden, sigma, sigmoid(tl.dot(active, w2, input_precision=PRECISION) + b2[None, :])


@kernel
def opacity(optical: tl.tensor) -> tl.tensor:
    """``1 - exp(-optical)`` without cancellation where that is small."""
    small = optical * (1.0 - optical * (0.5 - optical * (1.0 / 6.0)))
    return tl.where(optical < 1e-2, small, 1.0 - tl.exp(-optical))


@kernel
def density_forward(
    table: tl.tensor, net: tl.tensor, origins: tl.tensor, directions: tl.tensor, depths: tl.tensor, out: tl.tensor,
    rays: tl.tensor, samples: tl.tensor, height: tl.tensor, width: tl.tensor, scale: tl.tensor,
    CHANNELS: tl.constexpr, HIDDEN: tl.constexpr, FEATURES: tl.constexpr, SILU: tl.constexpr, AXES: tl.constexpr,
    PRECISION: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """Raw densities ``out`` (b, n, s) of samples at ``depths`` (b, n, s): program (block of samples, batch)."""
    batch = tl.program_id(1).to(tl.int64)
    table += batch * 3 * (height + 2) * (width + 2) * CHANNELS
    origins, directions = origins + batch * rays * 3, directions + batch * rays * 3
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    here = at < rays * samples
    t = tl.load(depths + batch * rays * samples + at, here, 0.0)
    ox, oy, oz, dx, dy, dz = load_rays(origins, directions, at // samples, here, scale)
    c, h = tl.arange(0, CHANNELS), tl.arange(0, HIDDEN)
    first = tl.load(net + c[:, None] * HIDDEN + h[None, :])
    net += CHANNELS * HIDDEN
    x = features(table, ox + t * dx, oy + t * dy, oz + t * dz, height, width, CHANNELS, AXES)
    x = tl.dot(x, first, input_precision=PRECISION) + tl.load(net + h)[None, :]
    sigma = tl.sum(activate(x, SILU) * tl.load(net + HIDDEN + h)[None, :], 1) + tl.load(net + 2 * HIDDEN)
    tl.store(out + batch * rays * samples + at, sigma, here)


@kernel
def march_forward(
    table: tl.tensor, net: tl.tensor, origins: tl.tensor, directions: tl.tensor, depths: tl.tensor, sums: tl.tensor, rest: tl.tensor,
    rays: tl.tensor, samples: tl.tensor, height: tl.tensor, width: tl.tensor, scale: tl.tensor, gain: tl.tensor, stop: tl.tensor,
    CHANNELS: tl.constexpr, HIDDEN: tl.constexpr, FEATURES: tl.constexpr, SILU: tl.constexpr, AXES: tl.constexpr,
    PRECISION: tl.constexpr, RAYS: tl.constexpr,
) -> None:  # fmt: skip
    """Weighted sums along rays with sorted ``depths`` (b, n, s): program (tile of rays, batch).

    ``sums`` (b, n, f) of the sigmoid of colours; ``rest`` (b, n, 2) of mid-depths and of the weights themselves. A tile is left when
    all of its rays let less light through than ``stop``.
    """
    batch = tl.program_id(1).to(tl.int64)
    table += batch * 3 * (height + 2) * (width + 2) * CHANNELS
    origins, directions = origins + batch * rays * 3, directions + batch * rays * 3
    ray = tl.program_id(0) * RAYS + tl.arange(0, RAYS)
    here = ray < rays
    ox, oy, oz, dx, dy, dz = load_rays(origins, directions, ray, here, scale)
    w1, b1, ws, bs, w2, b2 = load_net(net, CHANNELS, HIDDEN, FEATURES)
    depths += (batch * rays + ray) * samples
    t0, last = tl.load(depths, here, 0.0), tl.load(depths + samples - 1, here, 0.0)
    light = tl.where(last > t0, 1.0, 0.0)
    sigma0, moment, total = tl.zeros_like(t0), tl.zeros_like(t0), tl.zeros_like(t0)
    colour0, colours = tl.zeros((RAYS, FEATURES), tl.float32), tl.zeros((RAYS, FEATURES), tl.float32)
    k = 0
    while (k < samples) & (tl.max(light, 0) > stop):
        t = tl.load(depths + k, here, 0.0)
        x = features(table, ox + t * dx, oy + t * dy, oz + t * dz, height, width, CHANNELS, AXES)
        _, sigma, colour = decode(x, w1, b1, ws, bs, w2, b2, SILU, PRECISION)
        optical = softplus((sigma0 + sigma) * 0.5 - 1.0) * gain * (t - t0)  # the interval before the first sample is empty
        weight = light * opacity(optical)
        colours += (0.5 * weight)[:, None] * (colour0 + colour)
        moment += weight * (t0 + t) * 0.5
        total += weight
        light *= tl.exp(-optical)
        t0, sigma0, colour0 = t, sigma, colour
        k += 1
    at = batch * rays + ray
    tl.store(sums + at[:, None] * FEATURES + tl.arange(0, FEATURES)[None, :], colours, here[:, None])
    tl.store(rest + at * 2, moment, here)
    tl.store(rest + at * 2 + 1, total, here)


@kernel
def march_backward(
    table: tl.tensor, net: tl.tensor, origins: tl.tensor, directions: tl.tensor, depths: tl.tensor, sums: tl.tensor, rest: tl.tensor,
    grad_sums: tl.tensor, grad_rest: tl.tensor, grad_table: tl.tensor, grad_net: tl.tensor,
    rays: tl.tensor, samples: tl.tensor, height: tl.tensor, width: tl.tensor, scale: tl.tensor, gain: tl.tensor, stop: tl.tensor,
    CHANNELS: tl.constexpr, HIDDEN: tl.constexpr, FEATURES: tl.constexpr, SILU: tl.constexpr, AXES: tl.constexpr,
    PRECISION: tl.constexpr, RAYS: tl.constexpr,
) -> None:  # fmt: skip
    """Gradients of ``march_forward``: added to ``grad_table`` (b, 3, h + 2, w + 2, c), written to the program's row of ``grad_net``.

    A sample's gradient is complete when the interval behind it is known, so everything of the sample before waits one step.
    """
    batch = tl.program_id(1).to(tl.int64)
    texels = batch * 3 * (height + 2) * (width + 2) * CHANNELS
    table, grad_table = table + texels, grad_table + texels
    origins, directions = origins + batch * rays * 3, directions + batch * rays * 3
    ray = tl.program_id(0) * RAYS + tl.arange(0, RAYS)
    here = ray < rays
    ox, oy, oz, dx, dy, dz = load_rays(origins, directions, ray, here, scale)
    w1, b1, ws, bs, w2, b2 = load_net(net, CHANNELS, HIDDEN, FEATURES)
    d_w1, d_b1 = tl.zeros((CHANNELS, HIDDEN), tl.float32), tl.zeros((HIDDEN,), tl.float32)
    d_w2, d_b2 = tl.zeros((HIDDEN, FEATURES), tl.float32), tl.zeros((FEATURES,), tl.float32)
    d_ws = tl.zeros((HIDDEN,), tl.float32)

    at = batch * rays + ray
    wide = at[:, None] * FEATURES + tl.arange(0, FEATURES)[None, :]
    g_colour = tl.load(grad_sums + wide, here[:, None], 0.0)
    g_moment, g_total = tl.load(grad_rest + at * 2, here, 0.0), tl.load(grad_rest + at * 2 + 1, here, 0.0)
    ahead = tl.sum(g_colour * tl.load(sums + wide, here[:, None], 0.0), 1)
    ahead += g_moment * tl.load(rest + at * 2, here, 0.0) + g_total * tl.load(rest + at * 2 + 1, here, 0.0)

    depths += at * samples
    t0, last = tl.load(depths, here, 0.0), tl.load(depths + samples - 1, here, 0.0)
    light = tl.where(last > t0, 1.0, 0.0)
    before, sigma0, score0, share, d_sigma = light, tl.zeros_like(t0), tl.zeros_like(t0), tl.zeros_like(t0), tl.zeros_like(t0)
    d_bs = tl.zeros_like(t0)
    x0, hidden0 = tl.zeros((RAYS, CHANNELS), tl.float32), tl.zeros((RAYS, HIDDEN), tl.float32)
    colour0 = tl.zeros((RAYS, FEATURES), tl.float32)
    k = 0
    while (k <= samples) & (tl.max(before, 0) > stop):
        t = tl.load(depths + tl.minimum(k, samples - 1), here, 0.0)  # one step more than samples, for the last one's gradient
        x = features(table, ox + t * dx, oy + t * dy, oz + t * dz, height, width, CHANNELS, AXES)
        hidden, sigma, colour = decode(x, w1, b1, ws, bs, w2, b2, SILU, PRECISION)
        score = tl.sum(g_colour * colour, 1)

        inner = (sigma0 + sigma) * 0.5 - 1.0
        optical = softplus(inner) * gain * (t - t0)
        weight = light * opacity(optical)
        before, light = light, light * tl.exp(-optical)
        value = (score0 + score) * 0.5 + g_moment * (t0 + t) * 0.5 + g_total
        ahead -= value * weight
        d_inner = (value * light - ahead) * gain * (t - t0) * sigmoid(inner) * 0.5

        share, d_sigma = (share + weight) * 0.5, d_sigma + d_inner
        d_logits = share[:, None] * g_colour * colour0 * (1.0 - colour0)
        active0 = activate(hidden0, SILU)
        d_hidden = tl.dot(d_logits, tl.trans(w2), input_precision=PRECISION) + d_sigma[:, None] * ws[None, :]
        d_hidden *= slope(hidden0, SILU)
        d_w2 += tl.dot(tl.trans(active0), d_logits, input_precision=PRECISION)
        d_w1 += tl.dot(tl.trans(x0), d_hidden, input_precision=PRECISION)
        d_b2, d_b1, d_bs = d_b2 + tl.sum(d_logits, 0), d_b1 + tl.sum(d_hidden, 0), d_bs + d_sigma
        d_ws += tl.sum(active0 * d_sigma[:, None], 0)
        d_x = tl.dot(d_hidden, tl.trans(w1), input_precision=PRECISION)
        add_to_planes(grad_table, d_x, ox + t0 * dx, oy + t0 * dy, oz + t0 * dz, height, width, CHANNELS, AXES)

        t0, sigma0, score0, share, d_sigma, x0, hidden0, colour0 = t, sigma, score, weight, d_inner, x, hidden, colour
        k += 1
    row = tl.program_id(1) * tl.num_programs(0) + tl.program_id(0)
    grad_net += row.to(tl.int64) * (CHANNELS * HIDDEN + 2 * HIDDEN + 1 + HIDDEN * FEATURES + FEATURES)
    store_net(grad_net, d_w1, d_b1, d_ws, tl.sum(d_bs, 0), d_w2, d_b2, CHANNELS, HIDDEN, FEATURES)


@kernel
def store_net(
    net: tl.tensor, w1: tl.tensor, b1: tl.tensor, ws: tl.tensor, bs: tl.tensor, w2: tl.tensor, b2: tl.tensor,
    CHANNELS: tl.constexpr, HIDDEN: tl.constexpr, FEATURES: tl.constexpr,
) -> None:  # fmt: skip
    """The opposite of ``load_net``."""
    c, h, f = tl.arange(0, CHANNELS), tl.arange(0, HIDDEN), tl.arange(0, FEATURES)
    tl.store(net + c[:, None] * HIDDEN + h[None, :], w1)
    net += CHANNELS * HIDDEN
    tl.store(net + h, b1)
    tl.store(net + HIDDEN + h, ws)
    tl.store(net + 2 * HIDDEN, bs)
    net += 2 * HIDDEN + 1
    tl.store(net + h[:, None] * FEATURES + f[None, :], w2)
    tl.store(net + HIDDEN * FEATURES + f, b2)
