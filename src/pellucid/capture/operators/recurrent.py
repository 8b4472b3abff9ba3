"""Recurrent layers and single steps of them."""

from functools import partial

from pellucid.capture.operators.vocabulary import operator

_recurrent = partial(operator, kind="recurrent")

LSTM = _recurrent("lstm", aten="lstm mkldnn_rnn_layer _cudnn_rnn cudnn_rnn quantized_lstm")
GRU = _recurrent("gru", aten="gru quantized_gru", traits="composite")
RNN = _recurrent("rnn", "rnn_tanh rnn_relu", aten="rnn_tanh rnn_relu", traits="composite")
RNN_CELL = _recurrent(
    "rnn_cell", "lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell",
    aten="_thnn_fused_lstm_cell _thnn_fused_gru_cell", traits="composite",
)  # fmt: skip
