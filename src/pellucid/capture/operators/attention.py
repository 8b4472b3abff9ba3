"""Attention: fused, and as torch's own layers call it."""

from functools import partial

from pellucid.capture.operators.vocabulary import operator

_attention = partial(operator, kind="attention")

FUSED_ATTENTION = _attention(
    "scaled_dot_product_attention",
    aten="""
        _scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention
        _scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention
        _scaled_dot_product_fused_attention_overrideable
    """,
    node="""
        scaleddotproductflashattentionforcpu scaleddotproductflashattention scaleddotproductefficientattention
        scaleddotproductcudnnattention scaleddotproductfusedattentionoverrideable
    """,
    bind="query key value attn_mask=None dropout_p=0.0 is_causal=False scale=None enable_gqa=False",
)
MULTI_HEAD_ATTENTION = _attention("multi_head_attention_forward", aten="", traits="composite")
NATIVE_ATTENTION = _attention(
    "native attention layer", "_native_multi_head_attention _transformer_encoder_layer_fwd",
    aten="_native_multi_head_attention _transformer_encoder_layer_fwd", node="",
)  # fmt: skip
