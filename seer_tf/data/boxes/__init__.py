"""Boxes around objects as annotation files hold them: COCO's layout and Pascal VOC's."""
