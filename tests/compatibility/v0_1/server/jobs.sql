BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE artifacts (
	job_id TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	size_bytes INTEGER NOT NULL, 
	sha256 TEXT NOT NULL, 
	PRIMARY KEY (job_id, position), 
	FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
INSERT INTO "artifacts" VALUES('7465abf6c61e4437982f2759be078650',0,'bg/v001/bg_v001.1001.exr',1000,'a443998c0a0518d8ff2da3a6dcbc9c320d8d84f9e138678bcbed6ab31d1c2f83');
INSERT INTO "artifacts" VALUES('7465abf6c61e4437982f2759be078650',1,'shadow_01/v001/shadow_01_v001.1001.exr',1000,'d02a5b3e267613f35cc00e80da37c5ecd884309c58203afbf180b5475c823fa5');
INSERT INTO "artifacts" VALUES('7465abf6c61e4437982f2759be078650',2,'fg_01/v001/fg_01_v001.1001.exr',1000,'70c01d723e5c66071a28553943b188185957afe4aa57728dc32d9a66edcff2d7');
INSERT INTO "artifacts" VALUES('7465abf6c61e4437982f2759be078650',3,'comp/v001/comp_v001.1001.exr',1000,'f1705d7b5790c4a84e1d5b6787c76ca1472fc4661296e0adcc35c2858de43127');
INSERT INTO "artifacts" VALUES('7465abf6c61e4437982f2759be078650',4,'ref/v001/ref_v001.1001.exr',1000,'8e1b1a9acaa4fb0d606ee4772603c8094fcca7fb7bf7aaf3998512d335d61412');
INSERT INTO "artifacts" VALUES('7465abf6c61e4437982f2759be078650',5,'preview/contact.png',156,'d1f0276b07b876a37acd3741b2abc592168d164977a267dd93afbdc6cf1a4977');
INSERT INTO "artifacts" VALUES('7465abf6c61e4437982f2759be078650',6,'history/v001.json',2959,'ba5d659fff611eefcdca94b30570e9484c285ca3ae40076e17d36a7f81b32f18');
INSERT INTO "artifacts" VALUES('7465abf6c61e4437982f2759be078650',7,'stack.json',2959,'ba5d659fff611eefcdca94b30570e9484c285ca3ae40076e17d36a7f81b32f18');
INSERT INTO "artifacts" VALUES('fbf94a79e194484d8fd4ac4d76dc4074',0,'bg/v001/bg_v001.1001.exr',1000,'a443998c0a0518d8ff2da3a6dcbc9c320d8d84f9e138678bcbed6ab31d1c2f83');
INSERT INTO "artifacts" VALUES('fbf94a79e194484d8fd4ac4d76dc4074',1,'shadow_01/v002/shadow_01_v002.1001.exr',1000,'916c63daca45d78f73009a0077ccd13f0fc2dbab5f88fa5430ee6118cde15710');
INSERT INTO "artifacts" VALUES('fbf94a79e194484d8fd4ac4d76dc4074',2,'fg_01/v002/fg_01_v002.1001.exr',1000,'c7e13e60bd845e218e3fcb7c44be60be13fc9c945d1ab17c2f0b918218440b75');
INSERT INTO "artifacts" VALUES('fbf94a79e194484d8fd4ac4d76dc4074',3,'comp/v002/comp_v002.1001.exr',1000,'2e2cccb0121964ac37b726dc43bf05732b1d2b4c7dff5294eb6490428404c1c0');
INSERT INTO "artifacts" VALUES('fbf94a79e194484d8fd4ac4d76dc4074',4,'ref/v002/ref_v002.1001.exr',1000,'56a034e1fde23eebab2085df5857f9fbeeac6a46e010294ca2325220b3ecacbc');
INSERT INTO "artifacts" VALUES('fbf94a79e194484d8fd4ac4d76dc4074',5,'preview/v002/contact.png',156,'e8fc90cbaaf3ce5945ae20867ddcae552258767d74fd132fb08f2514e94b6215');
INSERT INTO "artifacts" VALUES('fbf94a79e194484d8fd4ac4d76dc4074',6,'shadow_01/v001/shadow_01_v001.1001.exr',1000,'d02a5b3e267613f35cc00e80da37c5ecd884309c58203afbf180b5475c823fa5');
INSERT INTO "artifacts" VALUES('fbf94a79e194484d8fd4ac4d76dc4074',7,'fg_01/v001/fg_01_v001.1001.exr',1000,'70c01d723e5c66071a28553943b188185957afe4aa57728dc32d9a66edcff2d7');
INSERT INTO "artifacts" VALUES('fbf94a79e194484d8fd4ac4d76dc4074',8,'comp/v001/comp_v001.1001.exr',1000,'f1705d7b5790c4a84e1d5b6787c76ca1472fc4661296e0adcc35c2858de43127');
INSERT INTO "artifacts" VALUES('fbf94a79e194484d8fd4ac4d76dc4074',9,'ref/v001/ref_v001.1001.exr',1000,'8e1b1a9acaa4fb0d606ee4772603c8094fcca7fb7bf7aaf3998512d335d61412');
INSERT INTO "artifacts" VALUES('fbf94a79e194484d8fd4ac4d76dc4074',10,'preview/contact.png',156,'d1f0276b07b876a37acd3741b2abc592168d164977a267dd93afbdc6cf1a4977');
INSERT INTO "artifacts" VALUES('fbf94a79e194484d8fd4ac4d76dc4074',11,'history/v001.json',2959,'ba5d659fff611eefcdca94b30570e9484c285ca3ae40076e17d36a7f81b32f18');
INSERT INTO "artifacts" VALUES('fbf94a79e194484d8fd4ac4d76dc4074',12,'history/v002.json',3477,'6d6c242eedd5a4b13c6865eb0952325c6bb0bb4c8d7800c3009cc9587198946b');
INSERT INTO "artifacts" VALUES('fbf94a79e194484d8fd4ac4d76dc4074',13,'stack.json',3477,'6d6c242eedd5a4b13c6865eb0952325c6bb0bb4c8d7800c3009cc9587198946b');
CREATE TABLE jobs (
	sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	request_id TEXT NOT NULL, 
	request_digest TEXT NOT NULL, 
	spec JSON NOT NULL, 
	state TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	created FLOAT NOT NULL, 
	started FLOAT, 
	finished FLOAT, 
	worker TEXT NOT NULL, 
	lease_until FLOAT NOT NULL, 
	progress JSON NOT NULL, 
	preview_revision INTEGER NOT NULL, 
	failure JSON, 
	artifact_count INTEGER NOT NULL, 
	artifact_bytes INTEGER NOT NULL, kind TEXT DEFAULT 'GENERATE' NOT NULL, source TEXT DEFAULT '' NOT NULL, 
	CONSTRAINT one_job_per_request UNIQUE (owner, request_id), 
	UNIQUE (id)
);
INSERT INTO "jobs" VALUES(1,'7465abf6c61e4437982f2759be078650','ada','00000000-0000-4000-8000-000000000001','2c60bd091cc49eb9e986c6a7fbd87eeec70bf0a3bc81a9dcd589ea47418ca6c6','{"prompt": "a red fox in the snow", "background_prompt": "", "foreground_prompts": [], "negative_prompt": "", "width": 64, "height": 64, "frames": 1, "fps": 12.0, "seed": 7, "steps": 4, "guidance": 3.0, "model": "mini", "colorspace": "lin_rec709_scene", "start_frame": 1001}','SUCCEEDED',5,1,1.79591579062894678119e+09,1.79591579063689899442e+09,1.7959157906801979542e+09,'cpu',1.79591579563689851756e+09,'{"stage": "write", "done": 8, "total": 8, "message": "", "fraction": 1.0, "eta_s": null}',5,NULL,8,11074,'GENERATE','');
INSERT INTO "jobs" VALUES(2,'fbf94a79e194484d8fd4ac4d76dc4074','ada','00000000-0000-4000-8000-000000000002','0ffb3e41b7634f20d571bfd96287e1c908ef5e4cf51a8d7a2d8a63e69d294777','{"action": "regenerate", "layers": ["fg_01"], "frozen": [], "prompts": {"fg_01": "a grey wolf"}, "above": "", "plate": null, "donor": null, "masks": {}, "at": 1, "seed": 11, "strength": 1.0, "steps": 4, "guidance": 3.0, "model": "mini"}','SUCCEEDED',5,1,1.79591579071598291396e+09,1.79591579072061204914e+09,1.79591579075667095184e+09,'cpu',1.79591579572061181072e+09,'{"stage": "write", "done": 14, "total": 14, "message": "", "fraction": 1.0, "eta_s": null}',5,NULL,14,19225,'RERENDER','jobs/7465abf6c61e4437982f2759be078650');
INSERT INTO "jobs" VALUES(3,'b06fa2b8156944139fdc99e467a2e610','ada','00000000-0000-4000-8000-000000000003','a80b65212b5a597e78b9c57fa833e92b34558337935d99646ebdde2f04232d0b','{"prompt": "an owl", "background_prompt": "", "foreground_prompts": [], "negative_prompt": "{\"step_s\": 0.0, \"frame_s\": 0.0, \"frame_bytes\": 1000, \"fault\": \"refuse\"}", "width": 64, "height": 64, "frames": 1, "fps": 12.0, "seed": 8, "steps": 4, "guidance": 3.0, "model": "mini", "colorspace": "lin_rec709_scene", "start_frame": 1001}','FAILED',4,1,1.79591579076878261563e+09,1.79591579077828907961e+09,1.79591579079448151589e+09,'cpu',1.79591579577828836444e+09,'{"stage": "denoise", "done": 1, "total": 4, "message": "", "fraction": 0.125, "eta_s": null}',0,'{"reason": "NO_SUCH_WORD", "message": "The model does not know this word.", "hint": "Use another word."}',0,0,'GENERATE','');
INSERT INTO "jobs" VALUES(4,'a64b3a7ea0aa4a99a864213d9166e9f4','ada','00000000-0000-4000-8000-000000000004','5a92cb7285ba5e78be1bf35bdc671e34c83cb961871a83d37d79afffa19d0b45','{"prompt": "a slow owl", "background_prompt": "", "foreground_prompts": [], "negative_prompt": "{\"step_s\": 0.05, \"frame_s\": 0.0, \"frame_bytes\": 1000, \"fault\": \"\"}", "width": 64, "height": 64, "frames": 1, "fps": 12.0, "seed": 9, "steps": 1000, "guidance": 3.0, "model": "mini", "colorspace": "lin_rec709_scene", "start_frame": 1001}','CANCELLED',5,1,1.79591579080506634708e+09,1.79591579080836653706e+09,1.79591579087445259088e+09,'cpu',1.79591579580836629872e+09,'{"stage": "denoise", "done": 1, "total": 1000, "message": "", "fraction": 0.0005, "eta_s": null}',0,NULL,0,0,'GENERATE','');
INSERT INTO "jobs" VALUES(5,'b2c6e3d92a244f99b40af933e981e367','ada','00000000-0000-4000-8000-000000000005','07d9d7e978febdf9928b196b546425d3ba660f1182cc0edb7e1b647dc041eb02','{"prompt": "a lost fox", "background_prompt": "", "foreground_prompts": [], "negative_prompt": "", "width": 64, "height": 64, "frames": 1, "fps": 12.0, "seed": 10, "steps": 4, "guidance": 3.0, "model": "mini", "colorspace": "lin_rec709_scene", "start_frame": 1001}','RUNNING',2,1,1.79591579089316535e+09,1.79591579089624524116e+09,NULL,'cpu',1.7959157958962447643e+09,'{"stage": "", "done": 0, "total": 0, "message": "", "fraction": 0.0, "eta_s": null}',0,NULL,0,0,'GENERATE','');
CREATE TABLE models (
	position INTEGER NOT NULL, 
	info JSON NOT NULL, 
	PRIMARY KEY (position)
);
INSERT INTO "models" VALUES(0,'{"name": "mini", "title": "Fake Mini", "digest": "0000000000000000000000000000000000000000000000000000000000000000", "width_range": [32, 256], "height_range": [32, 256], "size_step": 16, "frames_range": [1, 17], "frames_step": 4, "max_foregrounds": 2, "default_width": 64, "default_height": 64, "default_frames": 5, "default_fps": 12.0, "default_steps": 4, "default_guidance": 3.0, "steps_range": [1, 1000], "guidance_range": [0.0, 20.0], "source_colorspace": "srgb_rec709_scene", "abilities": ["generate"], "vocabulary": {"subject": ["fox", "owl"], "place": ["forest"]}, "colorspaces": ["lin_rec709_scene"]}');
CREATE INDEX jobs_by_state ON jobs (state, sequence);
CREATE INDEX artifacts_by_content ON artifacts (sha256);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',5);
COMMIT;
