"""Whether a larger value of a metric is better, by the words of its name."""

from __future__ import annotations

import re

_LESS = """
bce bits bpb bpc brier cer cost cross crossentropy deviance deviation distance divergence entropy err error errors fid
hinge kl kld loss losses mae mape misclassification mistakes mse msle nll nmse perplexity ppl regret residual residuals
rmse rmsle sse wer wrong
"""
_MORE = """
acc accuracy ap auc auprc auroc bleu correct correlation dice elbo explained f1 f2 fbeta fscore hits iou jaccard kappa
likelihood logprob map mcc miou mrr ndcg precision psnr r2 recall return returns reward rewards rouge score sensitivity
specificity ssim success top
"""
LESS_IS_BETTER, MORE_IS_BETTER = frozenset(_LESS.split()), frozenset(_MORE.split())
NEGATED = frozenset(("neg", "negated", "negative", "minus"))


def larger_is_better(metric: str) -> bool | None:
    """True for accuracy, f1, ...; False for loss, error, mse, perplexity, ...; None if no word of the name tells.

    A first word such as `neg` turns it round: neg_mse, negative_log_likelihood. A word for a loss counts for more than
    one for a gain: top5_error is an error.
    """
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", metric).lower()
    words = [word for word in re.split(r"[\W_]+", split) if word]
    known = {*words, *(word.rstrip("0123456789") for word in words)}
    found = False if known & LESS_IS_BETTER else True if known & MORE_IS_BETTER else None
    return not found if found is not None and words[0] in NEGATED else found
