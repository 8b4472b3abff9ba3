"""A page in a real browser, with everything that it asked for and complained about."""

from base64 import b64decode
from io import BytesIO

import numpy as np
from PIL import Image


class Opened:
    """A page with everything that it asked for and complained about."""

    def __init__(self, page):
        self.page, self.requests, self.complaints = page, [], []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def pixels(self, selector=".stage"):
        address = self.page.locator(selector).first.evaluate("canvas => canvas.toDataURL()")
        with Image.open(BytesIO(b64decode(address.partition(",")[2]))) as image:
            return np.asarray(image.convert("RGB")).astype(float)

    def hover(self, across, down, selector=".stage"):
        self.page.locator(selector).first.scroll_into_view_if_needed()
        box = self.page.locator(selector).first.bounding_box()
        self.page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
        return self.page.locator("article:visible .readout .value").get_attribute("data-value")
