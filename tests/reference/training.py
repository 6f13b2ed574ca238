"""Training written out literally: one process, no checkpoints, formulas as the papers have them."""

import math

import torch
import torch.nn.functional as F

from unlazy.backbones.vit import ViT

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def shift_and_flip(pixels, padding):
    """A random crop of each reflected picture; half of them mirrored. Global randomness."""
    side = pixels.shape[-1]
    padded = F.pad(pixels.float(), (padding,) * 4, mode="reflect").to(pixels.dtype)
    tops = torch.randint(0, 2 * padding + 1, (len(pixels),)).tolist()
    lefts = torch.randint(0, 2 * padding + 1, (len(pixels),)).tolist()
    crops = [
        image[:, top : top + side, left : left + side]
        for image, top, left in zip(padded, tops, lefts, strict=True)
    ]
    coins = (torch.rand(len(pixels)) < 0.5).tolist()
    return torch.stack(
        [crop.flip(-1) if coin else crop for crop, coin in zip(crops, coins, strict=True)]
    )


def plain_label_run(recipe, pixels, labels):
    """Losses and final weights of label training with shifted crops."""
    torch.manual_seed(recipe.seed)
    model = ViT(recipe.model)
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    per_epoch = len(pixels) // recipe.batch
    steps, losses = per_epoch * recipe.epochs, []
    warm = round(recipe.warmup * steps)
    for step in range(steps):
        epoch, place = divmod(step, per_epoch)
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + epoch)
        order = torch.randperm(len(pixels), generator=generator)
        chosen = order[place * recipe.batch : (place + 1) * recipe.batch]
        torch.manual_seed((recipe.seed + 1) * 1_000_003 + step)
        shown = shift_and_flip(pixels[chosen], recipe.padding)
        images = (shown.float() - 255 * MEAN[:, None, None]) / (255 * STD[:, None, None])
        if step < warm:
            rate = recipe.learning_rate * step / warm
        else:
            share = (step - warm) / (steps - warm)
            rate = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = F.cross_entropy(model(images), labels[chosen], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses, model.state_dict()


def clip_loss(image, text, temperature):
    """Symmetric cross-entropy over all pairs, by loops (Radford et al., Figure 3)."""
    count, total = len(image), 0.0
    image = [row / math.sqrt(float((row * row).sum())) for row in image.double()]
    text = [row / math.sqrt(float((row * row).sum())) for row in text.double()]
    scores = [[float((a * b).sum()) / temperature for b in text] for a in image]
    for i in range(count):
        total -= scores[i][i] - math.log(sum(math.exp(scores[i][j]) for j in range(count)))
        total -= scores[i][i] - math.log(sum(math.exp(scores[j][i]) for j in range(count)))
    return total / (2 * count)


def dino_loss(student, teacher, centre, student_temperature, teacher_temperature):
    """H(P_t, P_s) of every pair of different views, by loops (Caron et al., Algorithm 1)."""

    def softmax(row):
        powers = [math.exp(float(value)) for value in row]
        return [power / sum(powers) for power in powers]

    terms = []
    for t in range(2):
        for s in range(len(student)):
            if s == t:
                continue
            for b in range(student.shape[1]):
                aim = softmax((teacher[t, b].double() - centre.double()) / teacher_temperature)
                got = softmax(student[s, b].double() / student_temperature)
                terms.append(-sum(p * math.log(q) for p, q in zip(aim, got, strict=True)))
    return sum(terms) / len(terms)


def smoothed_cross_entropy(logits, labels, smoothing):
    """-sum q log p with q = 1 - smoothing on the label, and smoothing / C everywhere."""
    total, classes = 0.0, logits.shape[1]
    for row, label in zip(logits.double(), labels.tolist(), strict=True):
        log = row - math.log(sum(math.exp(float(value)) for value in row))
        for place in range(classes):
            aim = smoothing / classes + (1 - smoothing) * (place == label)
            total -= aim * float(log[place])
    return total / len(logits)
