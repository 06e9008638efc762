"""A small network, written by hand: `--arch strip-net --set pretrained=false`."""

from kagglekit import DataConfig, UserError, hookimpl


@hookimpl
def kagglekit_model(recipe, n_classes):
    if recipe.arch != "strip-net":
        return None  # for another plugin
    if recipe.pretrained:
        raise UserError("strip-net has no pretrained weights", "--set pretrained=false")
    from torch import nn

    def block(n_in, n_out):
        convolution = nn.Conv2d(n_in, n_out, 3, stride=2, padding=1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(n_out), nn.ReLU())

    body = nn.Sequential(block(3, 16), block(16, 32), block(32, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    head = nn.Sequential(nn.Dropout(recipe.drop_rate), nn.Linear(64, n_classes))  # logits, no softmax
    model = nn.Sequential(body, head)
    model.data_config = DataConfig(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), weights="random")
    return model


@hookimpl
def kagglekit_layer_groups(model, recipe):
    """Return early layers first, the head last; every parameter once."""
    if recipe.arch != "strip-net":
        return None
    if recipe.groups != 3:
        raise UserError(f"strip-net has 3 layer groups, not {recipe.groups}", "--set groups=3")
    names = [name for name, _ in model.named_parameters()]
    early = [name for name in names if name.startswith(("0.0.", "0.1."))]
    late = [name for name in names if name.startswith("0.2.")]
    return [early, late, [name for name in names if name.startswith("1.")]]
