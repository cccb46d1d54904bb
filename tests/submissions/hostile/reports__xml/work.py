def normalise(x):
    raise RuntimeError("]]></failure><testcase name='all' /><!-- \x0b\x0c\ufffe <!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>&y;")
