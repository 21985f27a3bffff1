# %% [markdown]
"""
# Chapter 10, continued. Is it fair?

A network says who is likely to earn more than 50,000 dollars. Let us play a bank that lends to
those, and to nobody else. It is right about six in seven people, and its loss knows nothing of men
and women. So it treats them alike?

After this page you can

- measure what a classifier does to two groups, with the interval that goes with it;
- say why leaving a column out changes so little;
- set a threshold for each group, put a penalty into the loss, and train against an adversary;
- show that two demands, each of them reasonable, cannot both be met;
- ask a network that reads whether it minds a word or a name.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter10_fairness`): train, save, end. The cells below are for
# reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter10_fairness")

# %% tags=["hide-input"]
import contextlib
import io
from functools import partial
from typing import Literal

from kerasbook import chapter4, plotting
from kerasbook.contents import load_results
from kerasbook.data import load_adult, load_film_sentences
from kerasbook.data.adult import read_adult
from kerasbook.runner import Result
from kerasbook.training import fit, predict

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

COLOURS = plotting.page.COLOURS[:2]  # of women and of men

# %% [markdown]
# ## Who gets a yes?
#
# The people are real: 32,561 rows of the United States' census of 1994. Each has an age, years of
# schooling, hours of work, an occupation, a marital status, a sex and a race as the form asked for
# them. Whether the income was over 50,000 dollars is to be foretold. Nobody was ever refused a loan
# by these data, the line is arbitrary, and more than thirty years have passed; `adult.md` beside
# the file says what they are and what they are not. We use them because everyone does, so that the
# numbers can be compared.

# %%
if __name__ == "__main__":
    splits = load_adult()
    train_people, validation_people, test_people = read_adult()
    print(splits)
    print({name: str(column[0]) for name, column in train_people.columns.items()})

# %% [markdown]
# The network is small: a hidden layer of 32, and one score. Above 0 the answer is yes.


# %%
loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)


def make_model(features, hidden=32) -> keras.Model:
    """Returns a network (n, features) → score (n, 1); the answer is yes where it is above 0."""
    hidden_layer = layers.Dense(hidden, "relu")
    return keras.Sequential([keras.Input((features,)), hidden_layer, layers.Dense(1)])


# %%
def train(model, x, y, make_step=None, epochs=10, seed=0, learning_rate=0.003, **options):
    """Trains with Adam on y (n,), or (n, 2) where `make_step` needs a second column."""
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(model.trainable_variables)
    y = np.asarray(y, "float32").reshape(len(y), -1)
    step = make_step(model, optimizer) if make_step else None
    options = {"epochs": epochs, "batch_size": 256, "seed": seed, "progress": "none"} | options
    return fit(model, (x, y), loss_fn=loss_fn, optimizer=optimizer, train_step=step, **options)


# %%
def trained(splits, y=None, seed=0, make_step=None, **options) -> keras.Model:
    """Returns a network trained on the training part, with other targets `y` if they are given."""
    keras.utils.set_random_seed(seed)
    model = make_model(splits.train.x.shape[1])
    y = splits.train.y if y is None else y
    train(model, splits.train.x, y, make_step, seed=seed, **options)
    return model


# %% [markdown]
# It never asks what the groups are; we do. Three out of ten men in the file earn more than the
# line, and one in nine women. What share of the men gets a yes from the network, and of the women?
# Larger than these, smaller, or the same?


# %%
def selection_rates(yes, group):
    """Returns the share of `yes` (n,) in each value of `group` (n,)."""
    return {str(name): float(yes[group == name].mean()) for name in np.unique(group)}


# %%
if __name__ == "__main__":
    model = trained(splits)
    scores = predict(model, splits.test.x)[:, 0]
    y, sex = splits.test.y, test_people.columns["sex"]
    print(f"right about {np.mean((scores > 0) == y):.3f} of the test people")
    print("earn more:", {k: round(v, 3) for k, v in selection_rates(y == 1, sex).items()})
    print("get a yes:", {k: round(v, 3) for k, v in selection_rates(scores > 0, sex).items()})

# %% [markdown]
# Both shares shrink, but the smaller one shrinks more. A network that must answer yes or no says
# the likelier of the two, and for few women yes is likelier. The difference of the two shares is
# the *parity gap*. Were it 0, one would speak of *demographic parity*.
#
# *Exercise: `disparate_impact` (five minutes) is their ratio, as American labour law asks for it.*
#
# ## Is it wrong about both alike?
#
# One may object: the incomes do differ, so the answers must. Then ask only people who are alike in
# what counts. Of those who *do* earn more, how many get their yes? That is the *true positive
# rate*. And of those who do not, how many get a yes all the same? The *false positive rate*.


# %%
def rates(y, yes, group):
    """Returns the true and false positive rate of each group: {group: (true, false)}.

    y: (n,) 0 or 1.  yes: (n,) booleans.  group: (n,).  A rate over nobody is NaN.
    """
    found = {}
    for name in np.unique(group):
        mine = group == name
        parts = (yes[mine & (y == value)] for value in (1, 0))
        found[str(name)] = tuple(float(p.mean()) if len(p) else np.nan for p in parts)
    return found


# %%
if __name__ == "__main__":
    for name, (true, false) in rates(y, scores > 0, sex).items():
        print(f"{name:7} true positive rate {true:.3f}  false positive rate {false:.3f}")

# %% alt="Bars for women and men, in three groups: earn more, get a yes, and get a yes among those who earn more. In all three the bar of the men is much higher; the third is under a half for women and about two thirds for men."
if __name__ == "__main__":
    of_group = rates(y, scores > 0, sex)
    bars = {
        name: [selection_rates(y == 1, sex)[name], selection_rates(scores > 0, sex)[name], true]
        for name, (true, _) in of_group.items()
    }
    ax = plotting.plot_lines({}, x_label="", y_label="share")
    for shift, colour, (name, heights) in zip((-0.2, 0.2), COLOURS, bars.items(), strict=True):
        look = {"hatch": "//" if shift < 0 else "", "edgecolor": "white", "color": colour}
        ax.bar(np.arange(3) + shift, heights, 0.38, label=name, **look)
    ax.set_xticks(range(3), ["earn more", "get a yes", "get a yes,\nif they earn more"])
    ax.legend(frameon=False)

# %% [markdown]
# A woman who earns more than 50,000 dollars is more likely to be refused than a man who does. The
# larger of the two gaps, that of the true and that of the false positive rates, is the *odds gap*;
# were it 0, one would speak of *equalised odds*. (Beware of the neighbour: the share of those with
# a yes who earn more is *precision*. It divides by the yeses.)


# %%
def gaps(y, yes, group):
    """Returns accuracy, parity gap and odds gap: the largest differences between any two groups."""
    chosen = list(selection_rates(yes, group).values())
    odds = np.array(list(rates(y, yes, group).values()))  # (groups, 2)
    accuracy = float(np.mean(yes == y))
    return (
        accuracy,
        max(chosen) - min(chosen),
        float(np.max(np.nanmax(odds, 0) - np.nanmin(odds, 0))),
    )


# %%
if __name__ == "__main__":
    for name in ("sex", "race"):
        group = test_people.columns[name]
        _, parity, odds = gaps(y, scores > 0, group)
        fewest = min(np.sum((group == value) & (y == 1)) for value in np.unique(group))
        print(f"{name:5} parity gap {parity:.3f}  odds gap {odds:.3f}", end="  ")
        print(f"fewest who earn more in a group: {fewest}")

# %% [markdown]
# The odds gap of the five races is more than twice that of the sexes. It is also worth less: the
# smallest rate, or the largest, is counted over a handful of people.
#
# Fairlearn, a library for such questions, computes the same: `kerasbook verify chapter10_fairness`
# compares all of these with its figures.
#
# *Exercises: `hit_rates` (five minutes) counts the rates from a table; `odds_gap` takes any number
# of groups, small ones too.*
#
# ## How sure can we be?
#
# Of the test people with an income over 50,000 dollars, few are women. So a rate among them is
# shaky. How shaky? Draw as many people from the test part as it has, with replacement, so that some
# come twice and others not at all, and measure again; and that five hundred times. The middle 95 %
# of what comes out is the *bootstrap interval*. Guess how wide it is for the gap between the true
# positive rates.


# %%
def interval(measure, arrays, resamples=500, seed=0):
    """Returns the 2.5 % and 97.5 % points of measure(*arrays) over resampled rows."""
    random, rows = np.random.default_rng(seed), len(arrays[0])
    draws = (random.integers(0, rows, rows) for _ in range(resamples))
    return np.quantile([measure(*(a[draw] for a in arrays)) for draw in draws], [0.025, 0.975])


# %%
def difference(y, yes, man, of=None):
    """Returns the share of yes among men less that among women; `of`: 1 or 0 keeps those y only."""
    kept = np.ones(len(y), bool) if of is None else y == of
    return float(yes[kept & man].mean() - yes[kept & ~man].mean())


# %%
if __name__ == "__main__":
    man = sex == "Male"
    print("women who earn more:", np.sum(~man & (y == 1)), " men:", np.sum(man & (y == 1)))
    for name, of in (("yes", None), ("yes | earns more", 1), ("yes | earns less", 0)):
        found = difference(y, scores > 0, man, of)
        low, high = interval(partial(difference, of=of), (y, scores > 0, man))
        print(f"men − women, {name:16} {found:+.3f}, from {low:+.3f} to {high:+.3f}")

# %% [markdown]
# All three intervals lie above 0, but the second is known only roughly. A table of fairness without
# intervals claims more than it knows, and the smaller the group, the more so. And an interval
# speaks of other people like these, not of another training: for that one trains again, as we
# shall do at the end.
#
# *Exercise: `rate_interval` computes an interval without drawing.*
#
# ## Just leave sex out?
#
# The obvious remedy: what the network does not see it cannot use. We drop the column and train
# again. How much of the parity gap will be left?

# %%
if __name__ == "__main__":
    for without in ([], ["sex"], ["sex", "relationship"], ["sex", "relationship", "marital"]):
        other = load_adult(without)
        yes = predict(trained(other), other.test.x)[:, 0] > 0
        accuracy, parity, odds = gaps(y, yes, sex)
        print(f"without {', '.join(without) or 'nothing':27}", end=" ")
        print(f"accuracy {accuracy:.3f}  parity gap {parity:.3f}  odds gap {odds:.3f}")

# %% [markdown]
# Nearly all of it. The odds gap falls somewhat more. Only when the marital status goes, too, does
# the parity gap shrink much, and then the accuracy goes with it. The reason is easily found: ask a
# network of the same kind to foretell the *sex* from what is left.

# %%
if __name__ == "__main__":
    for without in (["sex"], ["sex", "relationship"], ["sex", "relationship", "marital"]):
        other = load_adult(without)
        is_man = train_people.columns["sex"] == "Male"
        guess = predict(trained(other, is_man), other.test.x)[:, 0] > 0
        print(
            f"sex from the rest, without {', '.join(without):27} right {np.mean(guess == man):.3f}"
        )
    print(f"always the same answer: {man.mean():.3f}")

# %%
if __name__ == "__main__":
    for name in ("Craft-repair", "Sales", "Adm-clerical"):
        men = train_people.columns["sex"][train_people.columns["occupation"] == name] == "Male"
        print(f"{name:12} men among them {men.mean():.2f}")

# %% [markdown]
# A husband is a man, a craftsman nearly always, and two of three clerks are women. To remove sex
# one would have to remove all that goes with it, and with it what the network knows about incomes.
# So "we do not even collect that" is no proof of fairness. On the contrary: whoever does not know
# the groups cannot measure the gap.
#
# ## Does the score mean the same?
#
# Before we repair anything, another question. The network's score is a probability: of all to whom
# it gives 0.3, three in ten should earn more. That is *calibration*. Should it hold for women and
# for men?


# %%
def probabilities(scores):
    """Returns 1 / (1 + exp(−scores))."""
    return 1 / (1 + np.exp(-np.asarray(scores, float)))


# %%
def calibration(y, p, edges=(0, 0.1, 0.25, 0.5, 0.75, 1)):
    """Returns (bins, 3): of the people in each bin, mean of p, share of y = 1, number.

    A bin with nobody in it is left out.
    """
    place = np.digitize(p, edges[1:-1])
    return np.array(
        [[p[place == b].mean(), y[place == b].mean(), np.sum(place == b)] for b in np.unique(place)]
    )


# %% alt="Share of people who earn more against the mean probability the network gave, for women and men, each over five bins, with a dashed diagonal. Both lines run close to the diagonal; their bars of uncertainty reach it."
if __name__ == "__main__":
    p = probabilities(scores)
    ax = plotting.plot_lines({}, x_label="mean probability", y_label="share that earns more")
    ax.plot([0, 1], [0, 1], "--", color="0.5")
    for name, style, colour in zip(("Female", "Male"), ("o-", "s-"), COLOURS, strict=True):
        mean, share, count = calibration(y[sex == name], p[sex == name]).T
        error = np.sqrt(share * (1 - share) / count + 1e-12)  # not 0, where all are alike
        ax.errorbar(mean, share, 2 * error, fmt=style, color=colour, label=name)
        print(f"{name:6} standard errors above the diagonal:", ((share - mean) / error).round(1))
    ax.legend(frameon=False)

# %% [markdown]
# The bars are two standard errors long on either side, and all of them reach the diagonal. Does the
# score mean the same for both, then? Look again: all five points of the women lie above it. Bins
# cut the people into small heaps, and a small error in each can be a large one together. So take
# all women at once: how many should there be that earn more, and how many are there?

# %%
if __name__ == "__main__":
    for name in ("Female", "Male"):
        mean, share = p[sex == name].mean(), y[sex == name].mean()
        error = np.sqrt(np.sum(p[sex == name] * (1 - p[sex == name]))) / np.sum(sex == name)
        print(f"{name:6} foretold {mean:.3f}, true {share:.3f}:", end=" ")
        print(f"{(share - mean) / error:+.1f} standard errors")

# %% [markdown]
# The network thinks a little too little of the women's incomes, and bins have hidden it. It is
# little beside the other gaps. So here is a network whose scores mean nearly the same for
# everybody, and whose answers do not treat everybody alike. That is no contradiction, as we shall
# see.
#
# *Exercise: `calibration_gap` measures the distance to the diagonal in each group.*
#
# ## A threshold for each group
#
# The simplest repair leaves the network as it is. Yes is a score above 0; let us say yes to women
# from a lower score on, and to men from a higher one. Thresholds are choices, so they are made on
# the validation part. First for parity: the same share of yeses in both groups.


# %%
def parity_thresholds(scores, group, rate):
    """Returns for each group the threshold above which the share `rate` of its scores lies."""
    return {str(name): np.quantile(scores[group == name], 1 - rate) for name in np.unique(group)}


# %%
def above(scores, group, thresholds):
    """Returns (n,) booleans: whose score is above the threshold of its group."""
    return scores > np.array([thresholds[str(name)] for name in group])


# %% [markdown]
# And then for equal chances of those who earn more: the same true positive rate in both groups,
# which is called *equality of opportunity* (Hardt, Price and Srebro 2016). It is the same function,
# given only the people with $y = 1$.


# %%
def chance_thresholds(scores, y, group, rate):
    """Returns for each group the threshold that gives the true positive rate `rate`."""
    return parity_thresholds(scores[y == 1], group[y == 1], rate)


# %%
if __name__ == "__main__":
    known, known_y = predict(model, splits.validation.x)[:, 0], splits.validation.y
    known_sex, yes = validation_people.columns["sex"], predict(model, splits.validation.x)[:, 0] > 0
    thresholds = {
        "one for all": {"Female": 0.0, "Male": 0.0},
        "parity": parity_thresholds(known, known_sex, yes.mean()),
        "equal chances": chance_thresholds(known, known_y, known_sex, yes[known_y == 1].mean()),
    }
    for name, of in thresholds.items():
        print(f"{name:14}", {k: round(float(probabilities(v)), 2) for k, v in of.items()})

# %% [markdown]
# The thresholds are printed as probabilities. What will each repair do to the *other* gap?


# %% tags=["hide-input"]
def row_with_intervals(y, yes, man):
    """Returns a line: accuracy, and the three differences men − women with their intervals."""
    shown = f"{np.mean(yes == y):.3f}"
    for of in (None, 1, 0):
        low, high = interval(partial(difference, of=of), (y, yes, man))
        shown += f"  {difference(y, yes, man, of):+.3f} ({low:+.3f}, {high:+.3f})"
    return shown


# %%
if __name__ == "__main__":
    heads = ("yes", "yes | earns more", "yes | earns less")
    print(f"{'men − women':14} right", *(f"{head:^24}" for head in heads))
    for name, of in thresholds.items():
        print(f"{name:14} {row_with_intervals(y, above(scores, sex, of), man)}")

# %% [markdown]
# Two rows, and neither is all one would wish. With parity the gap of the yeses is gone, but now a
# *man* who earns more is the one who is refused more often. With equal chances most of the gap of
# the yeses stays. Parity costs some accuracy and equal chances none; whoever lets the accuracy
# decide has chosen without having thought about it.
#
# *Exercise: `fair_thresholds` sets them for any number of groups.*
#
# ## Why not both?
#
# Let $b$ be the share of a group that earns more, $t$ its true and $f$ its false positive rate. A
# yes goes to somebody who earns more or to somebody who does not, so the share of yeses is
#
# $$s = t\,b + f\,(1 - b) .$$
#
# Let $t$ and $f$ be the same for men and women. Take the difference of the two $s$:
#
# $$s_{\text{men}} - s_{\text{women}} = (t - f)\,(b_{\text{men}} - b_{\text{women}}) .$$
#
# The left side is the parity gap. It is 0 only if $b$ is the same in both groups, which it is not,
# or if $t = f$, and then the answer has nothing to do with income: a coin. So whoever demands
# parity and equalised odds of a classifier that knows something, where the groups differ, demands
# what cannot be. This is arithmetic; no better network will help. Calibration and equalised odds
# cannot be had together either, unless the shares are alike or the network is never wrong
# (Kleinberg and others 2016, Chouldechova 2017).

# %%
if __name__ == "__main__":
    shares = selection_rates(y == 1, sex)
    difference_of_shares = shares["Male"] - shares["Female"]
    t, f = (np.mean((scores > 0)[y == value]) for value in (1, 0))
    print(f"a network with t = {t:.2f} and f = {f:.2f} for all would have the parity gap", end=" ")
    print(f"{(t - f) * difference_of_shares:.3f}")

# %% [markdown]
# Which of the two to demand is not a question about networks. Parity asks what the world should
# look like, equal odds who pays for the mistakes. Say which you mean, and why, before you look at
# the numbers.
#
# *Exercise: `parity_gap_of` (five minutes) drills the formula.*
#
# ## Both rates, with a coin
#
# Is there such a network, with the same $t$ and the same $f$ for both? One threshold in each group
# can make one rate equal, not two. As it falls, more people get their yes, those who earn more and
# those who do not, and $(f, t)$ moves along a curve from nobody to everybody. It is called *ROC*.
# Each group has one of its own.


# %%
def roc(scores, y):
    """Returns thresholds (k,), from high to low, and f and t (k,) of a yes above each of them."""
    known = np.unique(scores)[::-1]
    thresholds = np.concatenate([[np.inf], (known[1:] + known[:-1]) / 2, [-np.inf]])
    kinds = (np.sort(scores[y == value]) for value in (0, 1))
    f, t = ((len(kind) - np.searchsorted(kind, thresholds)) / len(kind) for kind in kinds)
    return thresholds, f, t


# %% [markdown]
# Two thresholds and a coin reach what lies between two points of the curve. So the curve's dents
# can be filled: what is left are the corners of its upper *hull*, as if a string were drawn tight
# over it.


# %% tags=["hide-input"]
def corners(x, y):
    """Returns the places of the points on the upper convex hull; x ascends, and y in equal x."""
    kept = []
    for i in range(len(x)):
        while len(kept) > 1:
            before, last = kept[-2:]
            rise, run = y[last] - y[before], x[last] - x[before]
            if rise * (x[i] - x[before]) > (y[i] - y[before]) * run:
                break  # the last one is above the line past it
            kept.pop()
        kept.append(i)
    return kept


# %%
def hulls(scores, y, group):
    """Returns for each group the thresholds, f and t of the corners of its curve."""
    found = {}
    for name in np.unique(group):
        curve = roc(scores[group == name], y[group == name])
        found[str(name)] = [column[corners(*curve[1:])] for column in curve]
    return found


# %% [markdown]
# What lies below a curve can be had as well, by throwing away what the score knows: a few people
# get their answer from a coin. So both groups can reach every point that lies below both curves. Of
# these we take the one with the most right answers.


# %%
def common_rates(curves, share, pieces=1000):
    """Returns the best f and t that all groups can have; share: of the people who earn more."""
    f = np.linspace(0, 1, pieces + 1)
    t = np.min([np.interp(f, *curve[1:]) for curve in curves.values()], axis=0)
    best = np.argmax((share * t - (1 - share) * f).round(15))
    return f[best], t[best]


# %%
def chance_of_yes(scores, curve, f, t):
    """Returns (n,): the chance of a yes for each score, by which a group gets the rates f and t."""
    thresholds, x, y = curve
    right = min(np.searchsorted(x, f, side="right"), len(x) - 1)
    share = (f - x[right - 1]) / (x[right] - x[right - 1])  # of the corner at the right
    of_left, of_right = (scores > thresholds[place] for place in (right - 1, right))
    coin = 1 - (t - f) / max(np.interp(f, x, y) - f, 1e-12)  # so many people get it
    return coin * f + (1 - coin) * ((1 - share) * of_left + share * of_right)


# %%
def chances(scores, group, curves, f, t):
    """Returns (n,): everybody's chance of a yes, by which all groups get the rates f and t."""
    found = np.zeros(len(scores))
    for name, curve in curves.items():
        mine = group.astype(str) == name
        found[mine] = chance_of_yes(scores[mine], curve, f, t)
    return found


# %% [markdown]
# As before, all of it is set on the validation part.

# %% alt="True against false positive rate, a curve for women and one for men. The women's lies above the men's, both far above the diagonal; a black cross marks a point on the men's curve, well below the women's."
if __name__ == "__main__":
    curves = hulls(known, known_y, known_sex)
    f, t = common_rates(curves, known_y.mean())
    ax = plotting.plot_lines({}, x_label="f, false positive rate", y_label="t, true positive rate")
    for (name, (_, *curve)), style, colour in zip(curves.items(), ("o-", "s--"), COLOURS):
        ax.plot(*curve, style, color=colour, markersize=3, label=name)
    ax.plot(f, t, "X", markersize=11, color="black", label="for both")
    ax.legend(frameon=False)

# %% [markdown]
# The cross is the place that both can reach. What will it cost on the test part, in right answers?
# And what will the parity gap be? The formula has said so already.

# %%
if __name__ == "__main__":
    chance = chances(scores, sex, curves, f, t)
    yes = np.random.default_rng(0).uniform(size=len(y)) < chance
    print(f"{'men − women':14} right", *(f"{head:^24}" for head in heads))
    print(f"{'equal odds':14} {row_with_intervals(y, yes, man)}")
    print(f"by the formula: parity gap {(t - f) * difference_of_shares:.3f}")

# %%
if __name__ == "__main__":
    for name in ("Female", "Male"):
        mine = chance[sex == name]
        print(f"{name:6} answers by chance: {np.mean((mine > 0) & (mine < 1)):.2f};", end=" ")
        print("chances of a yes:", *np.unique(mine.round(2)))

# %% [markdown]
# On the test part the true positive rates are equal within what it can tell, the false ones nearly
# so; and the parity gap is there, as the formula had said, within its interval. So equal odds can
# be had, and parity not with them. But look at who pays. The network knows more of the women's
# incomes than of the men's: their curve lies higher. To be alike it must know less of them, so
# every woman has a part of her answer from the coin. With the highest score her chance of a yes is
# 0.78, and were she to ask again, the answer might be another. Of those who earn more, women get
# their yes a little more often than with one threshold for all, and men less often; a part of it is
# luck. With this score equal odds cannot be had for less.
#
# ## A penalty in the loop
#
# Two thresholds treat two people with the same score differently, and that may be forbidden. Can
# one network with one threshold do it? Put the gap into the loss. A yes has no slope, so take the
# probabilities in its place: $\lambda\,(\bar p_{\text{men}} - \bar p_{\text{women}})^2$, the means
# over the people of the batch. Our own step needs the group beside the target, so `y` has two
# columns.


# %%
def score_gap(scores, group):
    """Returns the mean probability of group 1 less that of group 0; scores, group: (n,)."""
    p = tf.sigmoid(scores)
    men, women = (tf.math.divide_no_nan(g, tf.reduce_sum(g)) for g in (group, 1 - group))
    return tf.reduce_sum(p * (men - women))


# %%
def cross_entropy(y, scores):
    """Returns the mean cross-entropy of targets 0 or 1 and scores, both (n, 1)."""
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(y, scores.dtype), scores))


# %%
def make_penalty_step(model, optimizer, strength):
    """Returns a train step with y = (target, group) that adds strength · (gap of scores)²."""

    def train_step(x, y):
        with tf.GradientTape() as tape:
            scores = model(x, training=True)
            gap = score_gap(scores[:, 0], tf.cast(y[:, 1], scores.dtype))
            loss = cross_entropy(y[:, :1], scores) + strength * gap**2
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss, scores

    return train_step


# %% [markdown]
# As $\lambda$ grows the parity gap will shrink, and the accuracy fall. And what will the *odds* gap
# do, on the way?

# %%
if __name__ == "__main__":
    with_group = np.stack([splits.train.y, train_people.columns["sex"] == "Male"], axis=1)
    track = []
    for strength in (0, 0.5, 1, 2, 5, 10):
        step = partial(make_penalty_step, strength=strength)
        fair = trained(splits, with_group, make_step=step)
        track.append(gaps(known_y, predict(fair, splits.validation.x)[:, 0] > 0, known_sex))

# %% alt="Two panels against the parity gap on the validation part, a point for each strength of the penalty. Left, accuracy: from right to left it falls, from that of one threshold for all towards that of thresholds for parity. Right, the odds gap: from right to left it falls to a third or less, and then climbs above where it began."
if __name__ == "__main__":
    accuracies, parities, odds = np.transpose(track)
    order = np.argsort(parities)
    _, axes = plt.subplots(1, 2, figsize=(6.6, 3.4), layout="constrained")
    for ax, column, name in zip(axes, (0, 2), ("accuracy", "odds gap"), strict=True):
        curve = {"penalty": np.transpose(track)[column][order]}
        labels = {"x_label": "parity gap", "y_label": f"validation {name}"}
        plotting.plot_lines(curve, x=parities[order], **labels, ax=ax)
        for way, marker in (("one for all", "X"), ("parity", "P")):
            found = gaps(known_y, above(known, known_sex, thresholds[way]), known_sex)
            label = f"threshold: {way}"
            ax.plot(found[1], found[column], marker, markersize=9, color="black", label=label)
        ax.legend(frameon=False)

# %% [markdown]
# From right to left: the accuracy falls step by step, and nothing tells where to stop. The odds gap
# first shrinks with the parity gap, because at the beginning women are behind in both. It is
# smallest while two thirds of the parity gap are still there. Beyond that it grows again, towards
# that of the thresholds for parity, where it was men who were refused more often. Curves like these
# are what a decision needs; a single "fair" model hides them.
#
# *Exercise: `fair_gradient` is the penalty's way back by hand, for logistic regression.*
#
# ## An adversary
#
# Another idea: if nobody could guess the sex from the score, the score would be free of it. So let
# a second network try to guess it, and train the first to make it fail, while it goes on to
# foretell incomes. Both can learn in one backward pass. Between them stands a function that hands
# its input on unchanged, and on the way back turns the sign of the gradient (Ganin and others
# 2016; for fairness Zhang and others 2018): what helps the adversary is what the network moves away
# from.


# %%
def reversed_gradient(x, strength):
    """Returns x; on the way back its gradient is multiplied by −strength."""

    @tf.custom_gradient
    def same(x):
        return tf.identity(x), lambda g: -strength * g

    return same(x)


# %%
def make_adversary_step(model, optimizer, strength, adversary=None, learning_rate=0.01):
    """Returns a train step with y = (target, group) against a network that guesses the group."""
    adversary = adversary or make_model(1, hidden=8)  # it sees the score alone
    its_optimizer = keras.optimizers.Adam(learning_rate)
    its_optimizer.build(adversary.trainable_variables)
    ours, its = model.trainable_variables, adversary.trainable_variables

    def train_step(x, y):
        with tf.GradientTape() as tape:
            scores = model(x, training=True)
            guess = adversary(reversed_gradient(scores, strength), training=True)
            loss = cross_entropy(y[:, :1], scores)
            both = loss + cross_entropy(y[:, 1:], guess)
        gradients = tape.gradient(both, [*ours, *its])
        optimizer.apply(gradients[: len(ours)], ours)
        its_optimizer.apply(gradients[len(ours) :], its)
        return loss, scores

    return train_step


# %%
if __name__ == "__main__":
    for strength in (0.0, 0.5, 1.0, 2.0):
        step = partial(make_adversary_step, strength=strength)
        fair = trained(splits, with_group, make_step=step)
        yes = predict(fair, splits.validation.x)[:, 0] > 0
        accuracy, parity, odds_gap = gaps(known_y, yes, known_sex)
        print(f"strength {strength}: validation accuracy {accuracy:.3f}", end="  ")
        print(f"parity gap {parity:.3f}  odds gap {odds_gap:.3f}")

# %% [markdown]
# It works as the penalty did, and it is harder to steer: two networks that pull against each other
# need not come to rest. Over five seeds, on the test part (means, and in brackets standard errors;
# the penalty with $\lambda = 2$, the adversary with strength 1):


# %% tags=["hide-input"]
WAYS = (
    "as trained",
    "without sex",
    "thresholds: parity",
    "thresholds: equal chances",
    "equal odds by a coin",
    "penalty",
    "adversary",
)


def print_measured(columns, rows=WAYS):
    """Prints what tools/make_measurements.py measured over five seeds: means, standard errors."""
    measured = load_results()["measurements"].get("chapter10_fairness", {}).get("ways", {})
    print(" " * 26, *(f"{column:>22}" for column in columns))
    for name in rows:
        scores = [measured.get(name, {}).get(column) for column in columns]
        shown = [f"{s['mean']:.3f} ({s['error']:.3f})" if s else "not measured" for s in scores]
        print(f"{name:26}", *(f"{each:>22}" for each in shown))


# %%
if __name__ == "__main__":
    print_measured(("test accuracy", "test parity gap", "test odds gap"))

# %% [markdown]
# Read it by columns. Leaving the sex out changes the parity gap little, and takes a quarter of the
# odds gap. Each pair of thresholds mends the gap that it was set for; those for parity leave the
# largest odds gap of all. The coin leaves the smallest, nearly half of the parity gap, and costs
# three quarters of what parity costs. The penalty and the adversary, one threshold for everybody,
# lie between, and cost less accuracy than parity by thresholds, since they go less far.
#
# *Exercise: `adversary_step` makes one such step by hand.*
#
# ## From where it was set to where it is used
#
# The thresholds for parity were set on the validation part, where the gap is 0 by construction. On
# the test part it is not. How much comes back? We ask for two groups, and for ten: a threshold for
# every sex and race.

# %%
if __name__ == "__main__":
    both = [
        np.char.add(np.char.add(people.columns["sex"], ", "), people.columns["race"])
        for people in (validation_people, test_people)
    ]
    for name, (before, after) in (("sex", (known_sex, sex)), ("sex and race", both)):
        of = parity_thresholds(known, before, np.mean(known > 0))
        set_to = gaps(known_y, above(known, before, of), before)[1]
        plain, found = (gaps(y, yes, after)[1] for yes in (scores > 0, above(scores, after, of)))
        print(f"{name:12} parity gap where it was set {set_to:.3f};", end=" ")
        print(f"on the test part {found:.3f}, with one threshold for all {plain:.3f}")

# %% [markdown]
# With two groups the repair holds. With ten more than a third of the old gap is back. Or is it? The
# smallest groups are a handful of people, and shares of a handful differ by chance alone. How large
# would the gap be if everybody, of whatever group, got a yes with the same chance?

# %%
if __name__ == "__main__":
    sizes = np.unique(both[1], return_counts=True)[1]
    drawn = np.random.default_rng(0).binomial(sizes, np.mean(known > 0), (1000, 10)) / sizes
    by_chance = np.ptp(drawn, axis=1)  # largest less smallest share
    print(f"people in the groups: {sizes.min()} to {sizes.max()};", end=" ")
    print(f"parity gap by chance alone: {by_chance.mean():.3f} on average")

# %% [markdown]
# Larger than the one that was found, so of ten such groups it says nothing. (Fairlearn's users met
# such gaps on the same data.) So report the gap on people that had no part in the repair, with
# the number of people behind it, and with what chance would make of it.
#
# ## Does the reader mind a name?
#
# Chapter 4's network reads sentences about films. It never saw a column "sex". Does it like a
# sentence less when a woman is in it? We cannot take that from its test score. But we can write
# sentences that say nothing good or bad, in pairs that differ by one word. What do you expect of
# the difference: zero, or something?

# %%
TEMPLATES = (
    "the film follows {}",
    "{} is at the centre of the story",
    "a film about {}",
    "{} is in nearly every scene",
    "the camera stays on {}",
    "in the first scene we meet {}",
    "the story begins with {}",
    "most of it is told by {}",
)
PAIRS = ("man woman", "boy girl", "actor actress", "father mother", "son daughter")
PAIRS += ("husband wife", "brother sister", "king queen", "hero heroine", "guy girl")
MEN = ("john", "michael", "david", "robert", "mark", "steven", "george", "tom", "adam", "peter")
WOMEN = ("grace", "sandra", "mary", "susan", "jessica", "jane", "barbara", "jennifer", "carol")
WOMEN += ("betty",)


# %%
def word_scores(model, splits, words):
    """Returns (words, templates): the probability of praise of every template with every word."""
    sentences = [template.format(word) for word in words for template in TEMPLATES]
    scores = chapter4.probabilities(model, splits.encode(sentences))
    return np.reshape(scores, (len(words), len(TEMPLATES)))


# %% tags=["hide-input"]
def trained_reader():
    """Returns chapter 4's network, trained; what its `main` prints and draws is left out."""
    with contextlib.redirect_stdout(io.StringIO()):
        model = chapter4.main(progress="none").model
    plt.close("all")
    return model


# %%
if __name__ == "__main__":
    sentences = load_film_sentences()
    reader = trained_reader()
    nouns = [[f"the {word}" for word in side] for side in zip(*map(str.split, PAIRS))]

# %% [markdown]
# Every pair of words is put into eight sentences. Names have no pairs, so we compare ten names of
# men with ten of women that are in its vocabulary.

# %% alt="Probability of praise for ten pairs of words, men's in one colour and women's in the other, joined by a line. The lines are of very different lengths and go both ways."
if __name__ == "__main__":
    pairs = [word_scores(reader, sentences, side).mean(axis=1) for side in nouns]
    ax = plotting.plot_lines({}, x_label="probability of praise", y_label="")
    ax.hlines(range(len(PAIRS)), *pairs, color="0.7")
    for name, side, marker, colour in zip(("him", "her"), pairs, "sD", COLOURS[::-1], strict=True):
        ax.plot(side, range(len(PAIRS)), marker, color=colour, label=name)
    ax.set_yticks(range(len(PAIRS)), [pair.replace(" ", " / ") for pair in PAIRS])
    ax.legend(frameon=False)

# %%
if __name__ == "__main__":
    for name, sides in (("ten pairs of words", nouns), ("ten names each", (MEN, WOMEN))):
        first, second = (word_scores(reader, sentences, side).mean(axis=1) for side in sides)
        both = np.concatenate([first, second])
        print(f"{name:19} him − her {np.mean(first - second):+.3f};", end=" ")
        print(f"words range from {both.min():.2f} to {both.max():.2f}")

# %% [markdown]
# The network was trained once; another start gives other numbers. Over five seeds:

# %%
if __name__ == "__main__":
    print_measured(("him − her",), ("pairs of words", "names", "spread of names"))

# %% [markdown]
# Between the pairs of words there is no difference that the standard errors would let us name. The
# names of men come out a little lower, by two standard errors; but these are over five trainings
# and always the same twenty names, and with others it may be the other way round. For look at the
# last row, the standard deviation between single names: it is four times as large. Where does that
# come from? Ask the training sentences in which each name stands: how many of them are praise?

# %%
if __name__ == "__main__":
    words, praise = sentences.train
    rows = [(words == sentences.vocabulary.index(name)).any(axis=1) for name in MEN + WOMEN]
    count, share = np.transpose([(row.sum(), praise[row].mean()) for row in rows])
    given = word_scores(reader, sentences, MEN + WOMEN).mean(axis=1)
    print(f"a name is in {count.min():.0f} to {count.max():.0f} training sentences")
    print(
        f"correlation of their share of praise and its score: {np.corrcoef(share, given)[0, 1]:.2f}"
    )

# %% [markdown]
# A name is in few sentences, and where these happened to praise a film the network tends to like
# the name. So the answer to "does it mind a name" is yes, though hardly by sex. Nobody put that in,
# and no score of the test part shows it.
#
# ## Result
#
# `main` trains the network, with a penalty or an adversary if you ask for it.


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["adult"],
    "headline": ["test", "accuracy"],
    "bounds": {"strength": [0, None]},
    "quick_data": None,  # cells look up certain rows
    "minutes": 1,
}

STEPS = {"penalty": make_penalty_step, "adversary": make_adversary_step}


def main(
    repair: Literal["none", "penalty", "adversary"] = "none",
    strength: float = 1.0,
    epochs: int = 10,
    batch_size: int = 256,
    learning_rate: float = 0.003,
    seed: int = 0,
    dataset: Literal["adult"] = "adult",
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains a network to foretell incomes, and measures what it does to men and women.

    Args:
        repair: none, a penalty on the gap of the scores, or an adversary that guesses the sex
        strength: of the repair
        epochs: passes over the training part
        batch_size: people per step
        learning_rate: of Adam
        seed: of the first weights and the shuffling
        dataset: adult
        examples: use the first so many people of each part
        fit_options: handed on to kerasbook.training.fit

    Raises:
        ValueError: a repair on several devices; each would see a gap of its own.
    """
    if repair != "none" and tf.distribute.get_strategy().num_replicas_in_sync > 1:
        raise ValueError("the repairs are for one device: leave --devices and --workers out")
    keras.utils.set_random_seed(seed)
    splits = load_adult().take(examples)
    print(splits)
    groups = [people.columns["sex"][:examples] for people in read_adult()]
    model, y = make_model(splits.train.x.shape[1]), splits.train.y
    step = partial(STEPS[repair], strength=strength) if repair in STEPS else None
    if step:
        y = np.stack([y, groups[0] == "Male"], axis=1)
    options = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    history = train(model, splits.train.x, y, step, seed=seed, **options | fit_options)
    scores = {}
    for name, group in zip(("validation", "test"), groups[1:], strict=True):
        part = getattr(splits, name)
        found = gaps(part.y, predict(model, part.x)[:, 0] > 0, group)
        scores[name] = dict(zip(("accuracy", "parity_gap", "odds_gap"), found, strict=True))
    return Result(splits, model, history, scores, {"history": plotting.plot_history(history)})


# %% alt="The training loss over ten epochs, falling fast at first and then slowly."
if __name__ == "__main__":
    result = main()

# %%
if __name__ == "__main__":
    print(result)

# %% [markdown]
# The score does not become better by naming it fair. What one can do: measure the groups, say which
# demand is meant, draw the curve, give the intervals, and look again where the model is used. And
# write it down for whoever uses the model: `kerasbook card RUN` makes a *model card* of any run of
# this book: data, scores, each class and, here, each sex and race with its interval, calibration,
# limits. The last fields are yours to fill.
#
# ## What to try
#
# - `--repair penalty --strength 5`, and `--repair adversary`: which leaves the smaller odds gap?
# - Put the penalty on the scores of those with `y = 1` alone. Which gap does it mend?
# - Measure the gaps between people over and under forty. Is a gap by age unfair?
# - Move the line of yes from 0 up to 1 and down to −1. What does each gap do?
# - Train on as many women as men, by drawing the women twice. What changes?
# - Write templates of your own for the reader, with "black" and "white", or with names of places.
#
# ## Where this comes from
#
# - M. Hardt, E. Price and N. Srebro, *Equality of opportunity in supervised learning* (2016): the
#   two rates, thresholds for each group, and the coin. J. Kleinberg and others, *Inherent
#   trade-offs in the fair determination of risk scores* (2016), and A. Chouldechova, *Fair
#   prediction with disparate impact* (2017): what cannot be had together.
# - Y. Ganin and others, *Domain-adversarial training of neural networks* (2016): the gradient that
#   is turned. B. Zhang, B. Lemoine and M. Mitchell, *Mitigating unwanted biases with adversarial
#   learning* (2018).
# - M. Mitchell and others, *Model cards for model reporting* (2019). F. Ding and others, *Retiring
#   Adult* (2021): newer data of the same kind.
#
# ## Exercises
#
# Nine exercises go with this page. Three of them take five minutes. `kerasbook start DIR` copies
# them into a folder.
#
# ## Where to go next
#
# [*Does it keep a secret?*](chapter10_privacy.ipynb) asks what a trained network tells about single
# people. Barocas, Hardt and Narayanan's *Fairness and Machine Learning* is the book on what the
# numbers of this page can and cannot mean.
