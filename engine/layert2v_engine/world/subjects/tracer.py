"""Ray marching of soft bodies: capsules and boxes in, straight color, alpha and ground shadow out.

Knows geometry and shading, not animals. Body axes: x forward, y up, z to the viewer's side, ground
at y = 0. The camera is orthographic, a little above the ground; yaw turns the body, not the light.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from layert2v_engine.image.srgb import decode_srgb, encode_srgb
from layert2v_engine.world.subjects import coats

SUPERSAMPLE = 2
ELEVATION = 0.22  # radians the camera looks down: enough to lay a visible shadow on the ground
_START, _FAR = 4.0, 8.0  # distance of the image plane before the origin, and where a ray gives up
_MARCH_STEPS, _SHADOW_STEPS = 48, 22
_HIT = 0.004
_FAINT = -80.0  # exp of less would be denormal, which is many times slower


@dataclass(frozen=True, kw_only=True)
class Body:
    """A posable body: K capsules followed by B boxes, in T poses; lengths in body units."""

    start: Tensor  # [T, K, 3]
    end: Tensor  # [T, K, 3]
    radius: Tensor  # [K, 2] at start and end
    flatten: Tensor  # [K] how many times thinner along z
    box_centre: Tensor  # [T, B, 3]
    box_half: Tensor  # [B, 3]
    box_round: Tensor  # [B]
    box_taper: Tensor  # [B] how fast a box narrows along x with height
    color: Tensor  # [K + B, 3] display-referred
    spotted: Tensor  # [K + B] 1 where the coat pattern shows
    spot_color: Tensor  # [3] display-referred
    sharpness: float  # of the smooth union, per unit
    advance: float  # ground covered in one cycle of the T poses, units
    pattern: str = "patches"  # of COATS, where ``spotted``

    @property
    def poses(self) -> int:
        return self.start.shape[0]


@dataclass(frozen=True, kw_only=True)
class View:
    """Where the body's origin lands on a canvas of width x height pixels, and how large."""

    width: int
    height: int
    centre: float  # column of the origin
    ground: float  # row of the origin
    scale: float  # pixels per unit
    yaw: float


class PosedBody:
    """The distance field of one pose."""

    def __init__(self, body: Body, pose: int) -> None:
        a, b, flat = body.start[pose], body.end[pose], body.flatten
        metric = torch.stack([torch.ones_like(flat), torch.ones_like(flat), flat * flat], -1)
        along = (b - a) * metric  # [K, 3]
        length2 = ((b - a) * along).sum(-1).clamp_min(1e-8)
        # Of features (xx, yy, zz, x, y, z): place along the axis, then squared distance to start.
        place = torch.cat([torch.zeros_like(a), along / length2[:, None]], -1)
        square = torch.cat([metric, -2 * a * metric], -1) / (flat * flat)[:, None]
        self._weight = torch.cat([place, square]).T.contiguous()  # [6, 2K]
        self._bias = torch.cat(
            [-(a * along).sum(-1) / length2, (a * a * metric).sum(-1) / (flat * flat)]
        )
        self._length2 = length2 / (flat * flat)
        self._r0 = body.radius[:, 0] / flat
        self._dr = (body.radius[:, 1] - body.radius[:, 0]) / flat
        self._box = (body.box_centre[pose], body.box_half, body.box_round, body.box_taper)
        self._sharpness = body.sharpness

    def part_distances(self, points: Tensor) -> Tensor:
        """Return the distances [N, K + B] of points [N, 3] to every primitive."""
        features = torch.cat([points * points, points], -1)
        place, square = torch.addmm(self._bias, features, self._weight).chunk(2, -1)
        h = place.clamp(0, 1)
        square = square.addcmul(h.mul(self._length2), h.sub(place, alpha=2))
        capsules = square.clamp_min_(0).sqrt_().sub_(self._r0).sub_(h.mul_(self._dr))
        if not self._box[1].shape[0]:
            return capsules
        return torch.cat([capsules, self._boxes(points)], -1)

    def _boxes(self, points: Tensor) -> Tensor:
        centre, half, rounding, taper = self._box
        offset = points[:, None] - centre
        size = half.expand_as(offset).clone()
        size[..., 0] -= taper * offset[..., 1]
        q = offset.abs() - size + rounding[:, None]
        return q.clamp_min(0).norm(dim=-1) + q.amax(-1).clamp_max(0) - rounding

    def distance(self, points: Tensor) -> Tensor:
        """Return the smooth union distance [N]; too small where every part is far away."""
        near = self.part_distances(points).mul_(-self._sharpness).clamp_min_(_FAINT).exp_().sum(-1)
        return near.log_().div_(-self._sharpness)


class Camera:
    """Orthographic rays of a view, in body axes."""

    def __init__(self, view: View) -> None:
        self._view = view
        c, s = math.cos(view.yaw), math.sin(view.yaw)
        self._to_body = torch.tensor(
            [[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]]
        )  # row vector @ this
        ce, se = math.cos(ELEVATION), math.sin(ELEVATION)
        self.right = self.to_body_axes(torch.tensor([1.0, 0.0, 0.0]))
        self.up = self.to_body_axes(torch.tensor([0.0, ce, -se]))
        self.forward = self.to_body_axes(torch.tensor([0.0, -se, -ce]))

    def to_body_axes(self, world: Tensor) -> Tensor:
        """Return a world direction [3] in body axes."""
        return world @ self._to_body

    def origins(self, columns: Tensor, rows: Tensor) -> Tensor:
        """Return ray starts [N, 3] for pixel centers at fractional columns and rows [N]."""
        x = (columns - self._view.centre) / self._view.scale
        y = (self._view.ground - rows) / self._view.scale
        return x[:, None] * self.right + y[:, None] * self.up - _START * self.forward

    def project(self, points: Tensor) -> Tensor:
        """Return offsets (right, up) [..., 2] of body points [..., 3] from the origin, in units."""
        return torch.stack([points @ self.right, points @ self.up], -1)


def extent(body: Body, yaw: float) -> tuple[float, float, float, float]:
    """Return left, right, bottom and top of the body over all poses, in units from the origin."""
    camera = Camera(View(width=1, height=1, centre=0, ground=0, scale=1, yaw=yaw))
    ends = torch.cat([camera.project(body.start), camera.project(body.end)], 1)  # [T, 2K, 2]
    radius = body.radius.T.reshape(-1)[None, :, None]
    low, high = [(ends - radius).amin((0, 1))], [(ends + radius).amax((0, 1))]
    if body.box_half.shape[0]:
        corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3)
        boxes = camera.project(body.box_centre[:, :, None] + body.box_half[:, None] * corners)
        low.append(boxes.amin((0, 1, 2)))
        high.append(boxes.amax((0, 1, 2)))
    (left, bottom), (right, top) = (
        torch.stack(low).amin(0).tolist(),
        torch.stack(high).amax(0).tolist(),
    )
    return left, right, bottom, top


def render(body: Body, pose: int, view: View, sun: tuple[float, float, float]) -> Tensor:
    """Return one pose as [6, H, W] in 0..1: straight display RGB, alpha, cast and contact shadow.

    ``sun`` points to the light in world axes; the light itself is white and neutral.
    """
    posed, camera = PosedBody(body, pose), Camera(view)
    light = functional.normalize(camera.to_body_axes(torch.tensor(sun)), dim=0)
    out = torch.zeros(6, view.height, view.width)
    out[:4] = _render_body(body, posed, camera, view, light)
    out[4:] = _ground_shadow(posed, camera, view, light)
    return out.clamp_(0, 1)


def _grid(left: int, top: int, right: int, bottom: int, per_pixel: int) -> tuple[Tensor, Tensor]:
    """Sample columns and rows (pixel centres are at .5) covering a pixel rectangle, row-major."""
    step = 1 / per_pixel
    x = torch.arange(left * per_pixel, right * per_pixel) * step + step / 2
    y = torch.arange(top * per_pixel, bottom * per_pixel) * step + step / 2
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return columns.reshape(-1), rows.reshape(-1)


def _window(body: Body, view: View) -> tuple[int, int, int, int]:
    """Return the pixel rectangle that holds the body in every pose, clipped to the canvas."""
    left, right, bottom, top = extent(body, view.yaw)
    x0 = max(0, math.floor(view.centre + left * view.scale) - 1)
    x1 = min(view.width, math.ceil(view.centre + right * view.scale) + 1)
    y0 = max(0, math.floor(view.ground - top * view.scale) - 1)
    y1 = min(view.height, math.ceil(view.ground - bottom * view.scale) + 1)
    return x0, y0, x1, y1


def _march(posed: PosedBody, origins: Tensor, forward: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance along each ray where it is nearest to the body, and how near, [N]."""
    t = torch.full((len(origins),), _START - 2.2)
    nearest, where = torch.full_like(t, 9.0), t.clone()
    live = torch.arange(len(origins))
    for _ in range(_MARCH_STEPS):
        d = posed.distance(origins[live] + t[live, None] * forward)
        nearer = live[d < nearest[live]]
        nearest[live] = torch.minimum(nearest[live], d)
        where[nearer] = t[nearer]
        t[live] += d.clamp(-0.1, 0.7)
        live = live[(d > _HIT / 4) & (t[live] < _FAR)]
        if not len(live):
            break
    return where, nearest


def _gradient(posed: PosedBody, points: Tensor) -> Tensor:
    """Return the gradient [N, 3] of the distance field at points [N, 3]."""
    step = 0.012
    corners = torch.tensor([[1.0, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]])
    field = posed.distance((points[:, None] + step * corners).reshape(-1, 3)).reshape(-1, 4)
    return field @ corners / (4 * step)


def _render_body(body: Body, posed: PosedBody, camera: Camera, view: View, light: Tensor) -> Tensor:
    x0, y0, x1, y1 = _window(body, view)
    origins = camera.origins(*_grid(x0, y0, x1, y1, SUPERSAMPLE))
    t, nearest = _march(posed, origins, camera.forward)
    pixels = view.scale * SUPERSAMPLE
    seen = torch.nonzero((nearest - _HIT) * pixels < 1)[:, 0]
    points = origins[seen] + t[seen, None] * camera.forward
    gradient = _gradient(posed, points)
    # Flattened parts understate their distance; the gradient tells by how much.
    miss = (nearest[seen] - _HIT).clamp_min(0) / gradient.norm(dim=-1).clamp(0.1, 1.0)
    cover, color = torch.zeros(len(origins)), torch.zeros(len(origins), 3)
    cover[seen] = torch.where(miss > 0, (0.5 - miss * pixels).clamp_min(0), 1)
    color[seen] = _shade(body, posed, points, functional.normalize(gradient, dim=-1), camera, light)
    samples = torch.cat([color * cover[:, None], cover[:, None]], -1).T
    shape = (1, 4, (y1 - y0) * SUPERSAMPLE, (x1 - x0) * SUPERSAMPLE)
    small = functional.avg_pool2d(samples.reshape(shape), SUPERSAMPLE)[0]
    straight = encode_srgb((small[:3] / small[3:].clamp_min(1e-4)).clamp(0, 1))
    out = torch.zeros(4, view.height, view.width)
    out[:, y0:y1, x0:x1] = torch.cat([straight * (small[3:] > 0), small[3:]])
    return out


def _shade(
    body: Body, posed: PosedBody, points: Tensor, normal: Tensor, camera: Camera, light: Tensor
) -> Tensor:
    """Return scene-linear colors [N, 3] of surface points under sun, sky and a camera light."""
    weight = torch.softmax(posed.part_distances(points) * -80, -1)
    albedo = weight @ decode_srgb(body.color)
    spots = (weight @ body.spotted * coats.COATS[body.pattern](points)).unsqueeze(-1)
    albedo = albedo * (1 - spots) + decode_srgb(body.spot_color) * spots
    facing = (normal @ -camera.forward).clamp(0, 1)
    sky = 0.5 + 0.5 * normal[:, 1]
    power = 0.10 + 0.30 * sky + 0.28 * facing + 0.62 * (normal @ light).clamp(0, 1)
    return (albedo * power[:, None]).clamp(0, 1)


def _ground_shadow(posed: PosedBody, camera: Camera, view: View, light: Tensor) -> Tensor:
    """Return cast and contact shadow on the ground plane, [2, H, W]."""
    top = max(0, int(view.ground - 0.2 * view.height))
    columns, rows = _grid(0, top, view.width, view.height, 1)
    origins = camera.origins(columns, rows)
    ground = origins - (origins[:, 1:2] / camera.forward[1]) * camera.forward
    cast, t = torch.ones(len(ground)), torch.full((len(ground),), 0.03)
    live = torch.arange(len(ground))
    for _ in range(_SHADOW_STEPS):
        d = posed.distance(ground[live] + t[live, None] * light)
        cast[live] = torch.minimum(cast[live], 9 * d / t[live])
        t[live] += d.clamp(0.03, 0.4)
        live = live[(cast[live] > 0) & (t[live] < 5)]
        if not len(live):
            break
    contact = torch.exp(-9 * posed.distance(ground).clamp_min(0))
    out = torch.zeros(2, view.height, view.width)
    out[0, top:] = (1 - cast.clamp(0, 1)).reshape(-1, view.width)
    out[1, top:] = contact.reshape(-1, view.width)
    return out
